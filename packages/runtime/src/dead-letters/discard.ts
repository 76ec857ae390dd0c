import type { ClientBase } from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { inChunks, type LettersProgress } from './chunks.ts';
import { noSuchLetters } from './redrive.ts';
import { type DeadLetterSelection, selected, selectionValues } from './selection.ts';

export interface DiscardOptions {
  /** Why, and who says so: both are logged. */
  readonly reason: string;
  readonly by: string;
  readonly logger: Logger;
  /** Told how far it is. */
  readonly onProgress?: LettersProgress;
}

/** What was discarded. */
export interface Discarded {
  readonly letters: number;
  /** Among them: they were being redriven, and may have been delivered at that moment. */
  readonly redriving: number;
}

/** $1 ids of letters. The deliveries of letters that are redriven go with them. */
const discardSql = `
with gone as (
  delete from event_runtime.dead_letter d where d.dead_letter_id = any ($1::uuid[])
  returning d.dead_letter_id, d.state, d.endpoint_id, d.event_id
), dequeued as (
  delete from event_runtime.webhook_delivery q using gone g
  where q.endpoint_id = g.endpoint_id and q.event_id = g.event_id and q.delivery_id < 0
)
select count(*)::int as letters, (count(*) filter (where g.state = 'redriving'))::int as redriving,
       coalesce((array_agg(g.dead_letter_id::text order by g.dead_letter_id))[1:100], '{}') as ids
  from gone g`;

/**
 * Deletes letters for good, with their payloads, also such as are being redriven. Each transaction is logged as
 * `letters.discarded`, with the first hundred ids.
 *
 * @throws ER4019 an id that is no letter's; then nothing is deleted
 */
export async function discardDeadLetters(
  client: ClientBase,
  selection: DeadLetterSelection,
  options: DiscardOptions,
): Promise<Discarded> {
  const { reason, by, logger, onProgress } = options;
  await refuseMissing(client, selection);
  const total = { letters: 0, redriving: 0 };
  const from = 'event_runtime.dead_letter l where true';
  const which = { selection, from, order: 'l.dead_letter_id', onProgress };
  const discard = { text: discardSql, values: [] };
  const gone = inChunks<Discarded & { readonly ids: readonly string[] }>(client, which, discard);
  for await (const { letters, redriving, ids } of gone) {
    if (letters > 0) logger.warn('letters.discarded', { letters, redriving, reason, by, ids });
    total.letters += letters;
    total.redriving += redriving;
  }
  return total;
}

/** Says what {@link discardDeadLetters} would do now; changes nothing. @throws ER4019 */
export async function planDiscard(client: ClientBase, selection: DeadLetterSelection): Promise<Discarded> {
  await refuseMissing(client, selection);
  const { rows } = await client.query<Discarded>(
    `select count(*)::int as letters, (count(*) filter (where l.state = 'redriving'))::int as redriving
       from event_runtime.dead_letter l where ${selected}`,
    selectionValues(selection),
  );
  return rows[0] as Discarded;
}

/** @throws ER4019 an id that is no letter's */
export async function refuseMissing(client: ClientBase, selection: DeadLetterSelection): Promise<void> {
  if (selection.ids === undefined) return;
  const { rows } = await client.query<{ found: number }>(
    `select count(*)::int as found from event_runtime.dead_letter l where ${selected}`,
    selectionValues(selection),
  );
  const missing = new Set(selection.ids).size - (rows[0]?.found ?? 0);
  if (missing > 0) throw noSuchLetters(missing);
}
