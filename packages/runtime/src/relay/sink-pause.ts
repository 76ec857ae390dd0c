import type { ClientBase, Pool } from 'pg';
import { runtimeError } from '../errors/codes.ts';

export interface SinkPauseOptions {
  readonly relay: string;
  readonly sink: string;
  /** Whether it shall be paused from now on. */
  readonly paused: boolean;
}

/**
 * Pauses a sink, or lets it go on. The relay takes note of it within a second or two, and finishes what is under way;
 * events wait in the outbox meanwhile. A sink that is paused stays so, whoever has the lease.
 *
 * @returns whether that changed anything
 * @throws ER1320 the relay has no checkpoint of such a sink
 */
export async function setSinkPaused(
  client: Pick<ClientBase | Pool, 'query'>,
  options: SinkPauseOptions,
): Promise<boolean> {
  const { relay, sink, paused } = options;
  const { rows } = await client.query<{ changed: boolean }>(
    `update event_runtime.relay_checkpoint as c
        set paused_at = case when $3 then coalesce(c.paused_at, clock_timestamp()) end
       from event_runtime.relay_checkpoint as before
      where c.relay = $1 and c.sink = $2
        and before.relay = c.relay and before.sink = c.sink and before.shard = c.shard
      returning (before.paused_at is not null) <> $3 as changed`,
    [relay, sink, paused],
  );
  if (rows.length > 0) return rows.some(({ changed }) => changed);
  const known = await client.query<{ sink: string }>(
    'select distinct c.sink from event_runtime.relay_checkpoint c where c.relay = $1 order by c.sink',
    [relay],
  );
  const names = known.rows.map((row) => row.sink).join(', ');
  throw runtimeError('ER1320', {
    detail: `It is ${JSON.stringify(sink)}; relay ${relay} has ${names === '' ? 'no sink yet' : names}.`,
  });
}
