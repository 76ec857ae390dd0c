import type { ClientBase } from 'pg';
import { isFed } from '../log/fed-sql.ts';
import { letterEntity } from '../log/letters-sql.ts';

/** No more letters are looked at. */
const obstaclesCap = 10_000;

/** What letters of a request wait for that nobody does for them. */
export interface RedriveObstacles {
  /**
   * How many have an older dead letter of their entity: where later events wait for it (`afterDeadLetter: 'wait'`), they
   * do, too; none waits for one that a replay caused. Of the first 10,000 letters, as the next number.
   */
  readonly behind: number;
  /** Of those letters the oldest, by id: it is to be redriven or discarded first. */
  readonly behindLetter: string | null;
  /** How many wait until their endpoint is enabled. */
  readonly endpointDisabled: number;
  /** Sinks that are paused. */
  readonly paused: readonly string[];
  /** Sinks whose relay does not run, or has no such sink. */
  readonly unfed: readonly string[];
}

/** $1 id of the request, $2 most letters. */
const obstaclesSql = `
with asked as materialized (
  select l.sink, l.relay, l.endpoint_id, l.tenant_id, l.entity_key, l.seq
  from event_runtime.dead_letter l where l.redrive_id = $1 and l.state = 'redriving' limit $2
), older as materialized (
  select h.dead_letter_id, h.seq
  from asked a cross join lateral (
    select d.dead_letter_id, d.seq from event_runtime.dead_letter d
    where d.endpoint_id is null and d.sink = a.sink and d.relay = a.relay and d.state = 'dead' and d.replay_id is null
      and d.entity_key is not null
      and ${letterEntity('d')} = ${letterEntity('a')} and d.tenant_id = a.tenant_id and d.entity_key = a.entity_key and d.seq < a.seq
    order by d.sink, d.relay, ${letterEntity('d')}, d.seq limit 1
  ) h
  where a.endpoint_id is null and a.entity_key is not null
), sink as materialized (
  select distinct a.sink as name, a.relay from asked a where a.endpoint_id is null
)
select (select count(*)::int from older) as behind,
       (select o.dead_letter_id from older o order by o.seq limit 1) as "behindLetter",
       (select count(*)::int from asked a join event_runtime.webhook_endpoint e on e.endpoint_id = a.endpoint_id
         where e.state = 'disabled') as "endpointDisabled",
       array(select distinct s.name from sink s where exists (
         select from event_runtime.relay_checkpoint c where c.sink = s.name and c.relay = s.relay and c.paused_at is not null
       ) order by s.name) as paused,
       array(select distinct s.name from sink s where not ${isFed({ relay: 's.relay', sink: 's.name' })} order by s.name) as unfed`;

/** Says what the letters of a request wait for, as far as the database knows. What a sink turns away is in `/readyz`. */
export async function redriveObstacles(
  client: Pick<ClientBase, 'query'>,
  redriveId: string,
): Promise<RedriveObstacles> {
  const { rows } = await client.query<RedriveObstacles>(obstaclesSql, [redriveId, obstaclesCap]);
  return rows[0] as RedriveObstacles;
}
