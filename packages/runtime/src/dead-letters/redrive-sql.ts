import { isFed } from '../log/fed-sql.ts';
import { selected } from './selection.ts';

/** A letter of a webhook that is not in the queue already. */
const notQueued = (fence: string): string => `not exists (
    select from event_runtime.webhook_delivery q
     where q.endpoint_id = l.endpoint_id and q.event_id = l.event_id ${fence})`;

/** Whose order is kept: of the entity, or of the whole endpoint. What has none stands for itself. */
const ordered = `case when e.ordering = 'endpoint' then '' else coalesce(l.entity_key, l.dead_letter_id::text) end`;

/**
 * What stands behind FROM for letters `l` that can be asked for: with their event, with their endpoint, and not under
 * way. Where the endpoint was removed while a letter of it was under way, the letter is not.
 */
const askableBy = (fence: string): string => `event_runtime.dead_letter l
  left join event_runtime.webhook_endpoint e on e.endpoint_id = l.endpoint_id
  where l.event_version is not null
    and case when l.endpoint_id is null then l.state = 'dead' else e.endpoint_id is not null and ${notQueued(fence)} end`;

export const askable: string = askableBy('');

/** For a few letters: none of them reads the whole queue, which the planner would do for them together. */
const askableFew = askableBy('offset 0');

/** Older ones of an entity are asked for first: a transaction may be the last one. */
export const askableOrder: string = `l.sink, l.endpoint_id, l.tenant_id, ${ordered}, l.seq, l.dead_letter_id`;

/** Letters `l` whose relay $4 may become: of an event that it has no letter of. $5: also of a relay that does not run. */
const takeable = `(l.endpoint_id is null and l.relay <> $4::text
    and (not exists (select from event_runtime.relay_checkpoint c where c.relay = l.relay and c.sink = l.sink)
      or ($5::boolean and not ${isFed({ relay: 'l.relay', sink: 'l.sink' })}))
    and not exists (
      select from event_runtime.dead_letter t
       where t.event_id = l.event_id and t.sink = l.sink and t.relay = $4::text and t.endpoint_id is null))`;

/**
 * $1 ids of letters, $2 id of the request, $3 who asks, $4 a relay: letters of one that never had such a sink are its from
 * now on, where $5 also those of one that does not feed it now. To be run under the lock of claims, where webhooks' are
 * among them.
 *
 * A letter of a webhook becomes a delivery again. Its id is below 0, and grows with `seq`: before all that is pending, and
 * beside other letters in their order. Of one event, 2^17 endpoints have room.
 */
export const requestSql: string = `
with asked as (
  update event_runtime.dead_letter as d
  set state = 'redriving', redrives = d.redrives + 1, redrive_id = $2::uuid, redrive_at = clock_timestamp(),
      redrive_by = $3, relay = case when c.takeable and c.place = 1 then $4::text else d.relay end
  from (
    -- Two of one event, of two relays: one of them may have room.
    select x.dead_letter_id, x.takeable,
           row_number() over (partition by x.event_id, x.sink, x.takeable order by x.dead_letter_id) as place
    from (
      select l.dead_letter_id, l.event_id, l.sink, coalesce(${takeable}, false) as takeable
      from ${askableFew} and l.dead_letter_id = any ($1::uuid[])
    ) as x
  ) as c
  where d.dead_letter_id = c.dead_letter_id
  returning d.dead_letter_id, d.tenant_id, d.endpoint_id, d.event_id, d.event_recorded_at, d.seq, d.entity_key,
            d.replay_id, (d.seq - 70368744177664) * 131072 as first_id
), queued as (
  insert into event_runtime.webhook_delivery
    (delivery_id, tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key, replay_id)
  overriding system value
  select a.first_id + row_number() over (partition by a.seq order by a.dead_letter_id) - 1
           + coalesce((select max(q.delivery_id) - a.first_id + 1 from event_runtime.webhook_delivery as q
                        where q.delivery_id between a.first_id and a.first_id + 131071), 0),
         a.tenant_id, a.endpoint_id, a.event_id, a.event_recorded_at, a.seq, a.entity_key, a.replay_id
  from asked as a
  where a.endpoint_id is not null
)
select count(*)::int as letters from asked`;

/** What can be said of a selection before it is redriven. */
export const planSql: string = `
with asked as materialized (
  select l.dead_letter_id, l.sink, l.endpoint_id, l.tenant_id, l.entity_key, l.seq, e.state
  from ${askable} and ${selected}
)
select (select count(*)::int from event_runtime.dead_letter l where ${selected}) as found,
       (select count(*)::int from asked) as letters,
       (select count(*)::int from event_runtime.dead_letter l where ${selected} and l.event_version is null) as lost,
       (select count(*)::int from event_runtime.dead_letter l where ${selected} and l.event_version is not null
           and l.endpoint_id is not null and not exists (
             select from event_runtime.webhook_endpoint e where e.endpoint_id = l.endpoint_id)) as "endpointGone",
       (select count(*)::int from asked a where a.state = 'disabled') as "endpointDisabled",
       (select count(distinct (a.tenant_id, a.entity_key))::int from asked a where a.entity_key is not null) as entities,
       (select count(*)::int from asked a where a.entity_key is null) as "withoutEntity",
       (select count(*)::int from event_runtime.webhook_delivery q
         where q.entity_key is not null and exists (
           select from asked a where a.endpoint_id = q.endpoint_id and a.entity_key = q.entity_key
             and a.seq < q.seq)) as "newerPending"`;

/** $7 most rows to look at. What is newer than the oldest letter, no further than that. */
export const newerSql: string = `
with asked as materialized (
  select l.tenant_id, l.entity_key, min(l.seq) as seq from ${askable} and ${selected} and l.entity_key is not null group by 1, 2
), newer as materialized (
  select o.tenant_id, o.entity_key, o.seq from event_runtime.outbox o
  where o.seq > (select min(a.seq) from asked a) order by o.seq limit $7
)
select (select count(*)::int from newer) as looked_at,
       (select count(*)::int from newer n
         join asked a on a.tenant_id = n.tenant_id and a.entity_key = n.entity_key and a.seq < n.seq) as newer`;
