import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { type ListedCheckpoint, listCheckpoints } from '../log/checkpoint.ts';
import { Snapshot } from '../log/snapshot.ts';
import { readServerLog } from '../log/timeline.ts';
import { countUnread } from '../log/unread.ts';
import { checkTime } from './replay/selection.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

export interface SinkRewindOptions {
  readonly relay: string;
  readonly sink: string;
  /** ISO 8601 with a zone, or a day in UTC; `beginning`: everything that the outbox has. */
  readonly to: string;
  /** Into how many parts the sink is divided: `relay.shards` where the table is polled. Default 1. */
  readonly shards?: number;
}

/** Where a sink would go on. */
export interface SinkRewind {
  /** The tick that is the last one before the time; null: the beginning. ISO 8601 in UTC. */
  readonly at: string | null;
  /** The snapshot after which it goes on: everything that it does not see is handed over. */
  readonly snapshot: string;
  /** Events that the sink would be handed from there; those included that it has not read yet. */
  readonly events: number;
  /** Of those, the ones that it has not read yet. */
  readonly unread: number;
}

/** What {@link rewindSink} would do. Changes nothing. @throws ER1320, ER6001, ER6005 */
export async function previewRewind(client: Queryable, options: SinkRewindOptions): Promise<SinkRewind> {
  const { target, parts } = await plan(client, options);
  const snapshot = Snapshot.parse(target.snapshot);
  let [events, unread] = [0, 0];
  for (const { shard, checkpoint } of parts) {
    const count = options.shards ?? 1;
    const of = { shard: count === 1 ? undefined : { index: shard, count }, before: undefined };
    const { floorSeq } = checkpoint;
    const everything = target.at === null && floorSeq > 0n;
    const adoption = everything ? { snapshot, since: '-infinity', afterSeq: 0n } : checkpoint.adoption;
    events += await countUnread(client, { ...of, state: { snapshot, batch: null, floorSeq, adoption } });
    unread += await countUnread(client, { ...of, state: checkpoint });
  }
  return { ...target, events, unread };
}

/**
 * Lets a sink go back to a time: it is handed again what was committed since, from the table, and then goes on as
 * ever. The other sinks notice nothing. Whoever feeds it does so within a second or two.
 *
 * @returns where it goes on
 * @throws ER1320, ER6001; ER6005 there is no tick that old, the sink has not got that far, or it keeps an inbox, as the
 *   webhooks do: what that knows would be passed over
 */
export async function rewindSink(client: Queryable, options: SinkRewindOptions): Promise<SinkRewind> {
  const preview = await previewRewind(client, options);
  await client.query(
    `update event_runtime.relay_checkpoint set rewind_snapshot = $3, rewind_cluster = system_identifier
      where relay = $1 and sink = $2 and shard < $4`,
    [options.relay, options.sink, preview.snapshot, options.shards ?? 1],
  );
  return preview;
}

interface Target {
  readonly at: string | null;
  readonly snapshot: string;
}

async function plan(
  client: Queryable,
  { relay, sink, to, shards = 1 }: SinkRewindOptions,
): Promise<{ readonly target: Target; readonly parts: readonly ListedCheckpoint[] }> {
  const all = await listCheckpoints(client, relay);
  // Rows of more parts are of an earlier time: nobody moves them.
  const parts = all.filter((each) => each.sink === sink && each.shard < shards);
  if (parts.length === 0) {
    const names = [...new Set(all.map((each) => each.sink))].join(', ') || 'none yet';
    throw runtimeError('ER1320', { detail: `It is ${JSON.stringify(sink)}; relay ${relay} has ${names}.` });
  }
  await refuseInbox(client, sink);
  const { systemIdentifier } = await readServerLog(client);
  if (parts.some((part) => part.systemIdentifier !== systemIdentifier)) {
    throw runtimeError('ER6005', {
      detail: 'Its checkpoint is of another cluster: a dump was restored.',
      remedy: 'Let the relay run here first: `event-runtime start`.',
    });
  }
  const target = to === 'beginning' ? beginning : await tickAt(client, checkTime(to, 'to'));
  const snapshot = Snapshot.parse(target.snapshot);
  const behind = parts.find(({ checkpoint }) => !checkpoint.snapshot.covers(snapshot));
  if (behind !== undefined) {
    throw runtimeError('ER6005', {
      detail: `Sink ${sink} has not got that far: it would be handed less than it has still to read.`,
      remedy: 'Name an earlier time, or wait until `event-runtime lag` shows that it has got there.',
    });
  }
  return { target, parts };
}

/** A sink that writes under its name into the inbox passes over what it finds there. @throws ER6005 */
async function refuseInbox(client: Queryable, sink: string): Promise<void> {
  const { rows } = await client.query<{ keeps: boolean }>(
    'select exists (select from event_runtime.consumer_idempotency where consumer = $1) as keeps',
    [sink],
  );
  if (rows[0]?.keeps !== true) return;
  throw runtimeError('ER6005', {
    detail: `Sink ${sink} keeps an inbox: of what it has had it would make nothing.`,
    remedy: 'Make a replay: `event-runtime replay create`.',
  });
}

const beginning: Target = { at: null, snapshot: Snapshot.nothing.toString() };

const iso = `to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A tick is taken a moment after its time, and sees what was recorded in between: so one that is a second older. */
async function tickAt(client: Queryable, time: string): Promise<Target> {
  const { rows } = await client.query<Target & { readonly oldest: boolean }>(
    `(select ${iso} as at, snapshot::text, false as oldest from event_runtime.tick
       where at <= $1::timestamptz - interval '1 second' order by xid desc limit 1)
     union all
     (select ${iso}, snapshot::text, true from event_runtime.tick order by xid limit 1)`,
    [time],
  );
  const found = rows.find(({ oldest }) => !oldest);
  if (found !== undefined) return { at: found.at, snapshot: found.snapshot };
  const oldest = rows[0]?.at;
  const kept =
    oldest === undefined || oldest === null ? 'There is no tick yet' : `The oldest tick is of ${oldest}`;
  throw runtimeError('ER6005', {
    detail: `${kept}.`,
    remedy: 'Name a later time, or the beginning: `--to beginning`.',
  });
}
