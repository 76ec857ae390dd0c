import type { ClientBase, Pool } from 'pg';

type Client = Pick<ClientBase | Pool, 'query'>;

export interface SinkPauseOptions {
  readonly relay: string;
  readonly sink: string;
  /** Whether it shall be paused from now on. */
  readonly paused: boolean;
}

/** One part of a sink that a relay has run with; `shard` is 0 where it is not divided. */
export interface SinkPause {
  readonly sink: string;
  readonly shard: number;
  readonly paused: boolean;
}

/** Every sink that the relay has run with, and whether it is paused; ordered by name and part. */
export async function sinkPauses(client: Client, relay: string): Promise<readonly SinkPause[]> {
  const { rows } = await client.query<SinkPause>(
    `select c.sink, c.shard, c.paused_at is not null as paused
       from event_runtime.relay_checkpoint c where c.relay = $1 order by c.sink, c.shard`,
    [relay],
  );
  return rows;
}

/**
 * Pauses a sink, or lets it go on. The relay takes note of it within a second or two, and finishes what is under way;
 * events wait in the outbox meanwhile. A sink that is paused stays so, whoever has the lease.
 *
 * @returns whether that changed anything; undefined: the relay has no checkpoint of such a sink
 */
export async function setSinkPaused(client: Client, options: SinkPauseOptions): Promise<boolean | undefined> {
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
  return rows.length === 0 ? undefined : rows.some(({ changed }) => changed);
}
