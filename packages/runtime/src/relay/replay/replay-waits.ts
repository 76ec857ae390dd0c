import { isFed } from '../../log/fed-sql.ts';

/**
 * What keeps a running replay from being handed over. `relay`: none runs. `feed`: the relay that runs does not feed its
 * sink, which is not in its configuration, or it is only about to. `resume`: its sink is paused. `replay`: an older one
 * of the sink goes first. `sink`: it has not yet had, in their own turn, all events that are as old as those of the replay.
 */
export type ReplayWait = 'relay' | 'feed' | 'resume' | 'replay' | 'sink';

/** Stands in a part's `trouble` while the wait is `sink`: only whoever feeds the sink knows. */
export const sinkIsBehind = 'sink-is-behind';

/** What the sink said of part `p` of a replay, as the latest of several. */
export const troubleSql: (p: string) => string = (p) => `max(nullif(${p}.trouble, '${sinkIsBehind}'))`;

/**
 * {@link ReplayWait} of a replay `r`, or null: nothing is known to be in the way. Whoever feeds a sink has its
 * checkpoint under the epoch of a lease that has not expired.
 */
export const replayWaitSql: string = `case
    when r.state <> 'running' or not exists (
      select from event_runtime.replay_part o where o.replay_id = r.replay_id and o.finished_at is null) then null
    when not exists (
      select from event_runtime.relay_lease l
       where l.relay = r.relay and l.expires_at > clock_timestamp() and l.sink !~ '^@?#') then 'relay'
    when exists (
      select from event_runtime.replay_part o
       where o.replay_id = r.replay_id and o.finished_at is null
         and not ${isFed({ relay: 'r.relay', sink: 'r.sink', shard: 'o.shard' })}) then 'feed'
    when exists (
      select from event_runtime.relay_checkpoint c
       where c.relay = r.relay and c.sink = r.sink and c.shard < r.shards and c.paused_at is not null) then 'resume'
    when exists (
      select from event_runtime.replay_part o join event_runtime.replay q using (replay_id)
       where o.finished_at is null and q.relay = r.relay and q.sink = r.sink and q.state = 'running'
         and q.shards = r.shards and q.replay_id < r.replay_id) then 'replay'
    when exists (
      select from event_runtime.replay_part o
       where o.replay_id = r.replay_id and o.finished_at is null and o.trouble = '${sinkIsBehind}') then 'sink'
  end`;
