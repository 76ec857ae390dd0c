import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { formatLsn, parseLsn } from '../replication/lsn.ts';
import { beginning, type Position } from './outbox-event.ts';

/** Whose positions these are: an LSN means nothing without the slot and the cluster it was read from. */
export interface CheckpointOwner {
  readonly slot: string;
  /** `system_identifier` of IDENTIFY_SYSTEM. */
  readonly systemIdentifier: string;
}

type Queryable = Pick<ClientBase | Pool, 'query'>;

/**
 * Up to where a sink has everything. {@link beginning} when it has no checkpoint.
 *
 * @throws ER1206 when the checkpoint was written for another cluster
 */
export async function loadCheckpoint(
  client: Queryable,
  options: { readonly sink: string; readonly owner: CheckpointOwner },
): Promise<Position> {
  const { rows } = await client.query<{ lsn: string; ordinal: number; system_identifier: string }>(
    `select lsn::text, ordinal, system_identifier
       from event_runtime.relay_checkpoint
      where sink = $1 and slot_name = $2`,
    [options.sink, options.owner.slot],
  );
  const row = rows[0];
  if (row === undefined) return beginning;
  if (row.system_identifier !== options.owner.systemIdentifier) {
    throw runtimeError('ER1206', {
      detail: `Sink ${options.sink}: ${row.system_identifier}, connected to ${options.owner.systemIdentifier}.`,
    });
  }
  return { lsn: parseLsn(row.lsn), ordinal: row.ordinal };
}

/** Writes a sink's checkpoint; it never goes back. Within the caller's transaction where there is one. */
export async function saveCheckpoint(
  client: Queryable,
  options: { readonly sink: string; readonly owner: CheckpointOwner; readonly position: Position },
): Promise<void> {
  await client.query(
    `insert into event_runtime.relay_checkpoint as c (sink, slot_name, system_identifier, lsn, ordinal)
     values ($1, $2, $3, $4::pg_lsn, $5)
     on conflict (slot_name, sink) do update
        set system_identifier = excluded.system_identifier,
            lsn = excluded.lsn, ordinal = excluded.ordinal, updated_at = clock_timestamp()
      where (c.lsn, c.ordinal) < (excluded.lsn, excluded.ordinal)`,
    [
      options.sink,
      options.owner.slot,
      options.owner.systemIdentifier,
      formatLsn(options.position.lsn),
      options.position.ordinal,
    ],
  );
}

/** The sinks that have a checkpoint for a slot. */
export async function checkpointedSinks(client: Queryable, slot: string): Promise<string[]> {
  const { rows } = await client.query<{ sink: string }>(
    'select sink from event_runtime.relay_checkpoint where slot_name = $1 order by sink',
    [slot],
  );
  return rows.map((row) => row.sink);
}

/** Forgets a slot's checkpoints; for a slot that is dropped on purpose. */
export async function forgetCheckpoints(client: Queryable, slot: string): Promise<void> {
  await client.query('delete from event_runtime.relay_checkpoint where slot_name = $1', [slot]);
}
