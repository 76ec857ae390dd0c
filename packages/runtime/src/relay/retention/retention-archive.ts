import type { ClientBase } from 'pg';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { stretchPages } from '../../log/page-fetch.ts';
import { type Partition, quote, toBound } from '../../schema/partition-catalog.ts';
import type { Archive } from './retention-options.ts';

/** What a page holds at most: memory is bounded by two of them. */
const limits = { events: 1_000, bytes: 4 * 1_024 * 1_024 };

/**
 * Hands a partition of the outbox to the archive. As the owner of the schema; no transaction stays open meanwhile.
 *
 * @returns how many events it held before: if it holds another number when it is dropped, the copy is not whole
 * @throws what the archive throws
 */
export async function archivePartition(
  client: ClientBase,
  options: {
    readonly partition: Partition;
    readonly archive: Archive;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { partition, archive, signal } = options;
  const { name, from, to } = partition;
  const { rows } = await client.query<{ events: string }>(
    `select count(*) as events from event_runtime.${quote(name)}`,
  );
  const events = Number(rows[0]?.events ?? 0);
  const expired = {
    table: 'outbox',
    name,
    from: Number.isFinite(from) ? new Date(from) : null,
    to: new Date(to),
    events,
  };
  await archive(expired, eventsOf(client, { partition, signal }), { signal });
  signal.throwIfAborted();
  return events;
}

async function* eventsOf(
  client: ClientBase,
  { partition, signal }: { readonly partition: Partition; readonly signal: AbortSignal },
): AsyncGenerator<LoggedEvent, void, undefined> {
  const { from, to } = partition;
  const since = Number.isFinite(from) ? toBound(from) : null;
  const fetch = stretchPages({ client, limits, stretch: { upTo: null, since, before: toBound(to) } });
  for (let [after, more] = [0n, true]; more; ) {
    signal.throwIfAborted();
    const page = await fetch(after);
    yield* page.events;
    after = page.events.at(-1)?.event.seq ?? after;
    more = page.more;
  }
}
