/** The key of the advisory lock that orders claims: the bytes of "evrthook". Per database. */
const lockKey = '7311994421340106603';

/** Alone: one claim at a time, and no settlement meanwhile. */
export const lockForClaim: string = `select pg_advisory_xact_lock(${lockKey})`;

/**
 * For the transactions of a claim. What is due is most of the queue, so the planner would read and judge all of
 * it and sort; without these it walks the primary key, and stops as soon as it has enough.
 */
export const planForClaim = `
set local enable_sort = off;
set local enable_bitmapscan = off;
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off`;

/** Shared: settlements and renewals go beside each other. */
export const lockForSettlement: string = `select pg_advisory_xact_lock_shared(${lockKey})`;

/** What a group is of, beside the endpoint; or the endpoint itself. */
type GroupKey = 'entity_key' | 'endpoint_id';

const ofGroup = (key: GroupKey): string => `
        b.endpoint_id = d.endpoint_id and b.${key} = d.${key} and b.claimed_by is distinct from $1::uuid`;

/**
 * An earlier row that keeps the group: another live claimer has it, or it waits for its time. Not our own. Its place is
 * compared together with the key, so that the primary key does not fit: with that the planner would go through the
 * queue's front, of which a great deal may be others'.
 */
const holdsBack = (key: GroupKey): string => `
      select from event_runtime.webhook_delivery as b
      where ${ofGroup(key)}
        and b.delivery_id >= (select f.delivery_id from first as f)
        and (b.${key}, b.delivery_id) < (d.${key}, d.delivery_id)
        and (b.next_attempt_at > statement_timestamp()
             or (b.claimed_by is not null and b.claimed_until > statement_timestamp()))`;

/** A later row of the group in other hands: a dead letter that is redriven must not go beside it. */
const underWay = (key: GroupKey): string => `
      select from event_runtime.webhook_delivery as b
      where ${ofGroup(key)} and b.delivery_id > d.delivery_id and b.claimed_until > statement_timestamp()`;

/**
 * What is known of an event, from where it is to be read: a delivery that was redriven (its id is below 0) from its dead
 * letter, for the outbox may have forgotten it by now.
 */
const eventOf = (columns: string, delivery: string): string => `(
    select ${columns}
    from event_runtime.outbox as x
    where ${delivery}.delivery_id > 0 and x.event_id = ${delivery}.event_id and x.recorded_at = ${delivery}.event_recorded_at
    union all
    select ${columns}
    from event_runtime.dead_letter as x
    where ${delivery}.delivery_id < 0 and x.event_id = ${delivery}.event_id and x.endpoint_id = ${delivery}.endpoint_id
      and x.sink = 'webhooks'
    offset 0
  )`;

const payloadBytes = `case when pg_column_compression(x.payload) is null then pg_column_size(x.payload)
                else octet_length(x.payload::text) end as bytes`;

/** So many endpoints with dead letters that are redriven are gone through one by one; with more of them, all letters are. */
const mostRedriven = 64;

/** So many deliveries more than are wanted are gone through before those are looked for endpoint by endpoint. */
const nearby = 1_000;

/** So many endpoints with deliveries are gone through one by one; with more of them, all deliveries are. */
const mostWaiting = 1_000;

/** Deliveries `d` that may be claimed now, of endpoints `e`. */
const claimable = `
    d.claimed_by is distinct from $1::uuid
    and (d.claimed_by is null or d.claimed_until <= statement_timestamp())
    and d.next_attempt_at <= statement_timestamp()
    and case e.ordering
      when 'none' then true
      when 'endpoint' then not exists (${holdsBack('endpoint_id')})
      else not exists (${holdsBack('entity_key')})
    end`;

/** And of those below 0. */
const redrivable = `${claimable}
    and case e.ordering
      when 'none' then true
      when 'endpoint' then not exists (${underWay('endpoint_id')})
      else not exists (${underWay('entity_key')})
    end`;

const open = `e.state = 'enabled' and e.endpoint_id <> all ($3::uuid[])`;

const readyColumns = 'd.delivery_id, d.endpoint_id, d.event_id, d.event_recorded_at';

/**
 * $1 claimer, $2 limit, $3 endpoints to leave out, $4 limit for each endpoint, $5 bytes, $6 lease in ms.
 *
 * Whatever is cut off by a limit is cut off at the end of the order (of the endpoint, or of all), so that no
 * row is taken while an earlier one of its group is left. Sizes are those of the stored value where it is not
 * compressed: that needs no read of the value. What lies before the first row of the queue are rows that are gone; as
 * long as a snapshot that is held elsewhere keeps them from being cleared away they are gone through once, by `first`,
 * not again for each row that is judged. Dead letters that are redriven are before all others: those of an endpoint that
 * is disabled may be a great many, and are not gone through, as long as few endpoints have any. Nor are its others: as a rule
 * the first deliveries of the queue are enough, `near`; where they are not, because many are of endpoints that are disabled
 * or left out, each other endpoint is asked for its own, `far`. The lateral joins are fenced by `offset 0`, so that the
 * outbox is asked by its key for each row, in one partition, whatever the planner thinks of the sizes.
 */
export const claimSql: string = `
with recursive first as materialized (
  select min(x.delivery_id) as delivery_id from event_runtime.webhook_delivery as x
), fresh as materialized (
  select case when f.delivery_id > 0 then f.delivery_id else (
    select min(x.delivery_id) from event_runtime.webhook_delivery as x where x.delivery_id > 0
  ) end as delivery_id from first as f
), redriven (endpoint_id, place) as (
  select (select x.endpoint_id from event_runtime.webhook_delivery as x
          where x.delivery_id < 0 order by x.endpoint_id limit 1), 1
  from first as f
  where f.delivery_id < 0
  union all
  select (select x.endpoint_id from event_runtime.webhook_delivery as x
          where x.delivery_id < 0 and x.endpoint_id > r.endpoint_id order by x.endpoint_id limit 1), r.place + 1
  from redriven as r
  where r.endpoint_id is not null and r.place <= ${mostRedriven}
), many as materialized (
  select count(r.endpoint_id) > ${mostRedriven} as are from redriven as r
), near as materialized (
  select ${readyColumns}
  from (
    select x.delivery_id, x.endpoint_id, x.event_id, x.event_recorded_at, x.entity_key, x.claimed_by, x.claimed_until,
           x.next_attempt_at
    from event_runtime.webhook_delivery as x
    where x.delivery_id >= (select f.delivery_id from fresh as f)
    order by x.delivery_id
    limit $2::bigint + ${nearby}
  ) as d
  join event_runtime.webhook_endpoint as e on e.endpoint_id = d.endpoint_id
  where ${open} and ${claimable}
  order by d.delivery_id
  limit $2
), far as materialized (
  select (select count(n.delivery_id) from near as n) < $2 and exists (
    select x.delivery_id from event_runtime.webhook_delivery as x
    where x.delivery_id >= (select f.delivery_id from fresh as f)
    order by x.delivery_id offset $2::bigint + ${nearby} limit 1
  ) as is
), waiting (endpoint_id, place) as (
  select (select x.endpoint_id from event_runtime.webhook_delivery as x
          order by x.endpoint_id limit 1), 1
  from far as f
  where f.is
  union all
  select (select x.endpoint_id from event_runtime.webhook_delivery as x
          where x.endpoint_id > w.endpoint_id order by x.endpoint_id limit 1), w.place + 1
  from waiting as w
  where w.endpoint_id is not null and w.place <= ${mostWaiting}
), crowd as materialized (
  select count(w.endpoint_id) > ${mostWaiting} as is from waiting as w
), ready as materialized (
  select r.delivery_id, r.endpoint_id, r.event_id, r.event_recorded_at
  from (
    (
      select d.delivery_id, d.endpoint_id, d.event_id, d.event_recorded_at
      from redriven as r
      join event_runtime.webhook_endpoint as e on e.endpoint_id = r.endpoint_id
      cross join lateral (
        select ${readyColumns}
        from event_runtime.webhook_delivery as d
        where d.endpoint_id = e.endpoint_id and d.delivery_id < 0 and ${redrivable}
        order by d.delivery_id
        limit $2
      ) as d
      where ${open} and not (select m.are from many as m)
    )
    union all
    (
      select ${readyColumns}
      from event_runtime.webhook_delivery as d
      join event_runtime.webhook_endpoint as e on e.endpoint_id = d.endpoint_id
      where ${open} and (select m.are from many as m)
        and d.delivery_id < 0 and d.delivery_id >= (select f.delivery_id from first as f) and ${redrivable}
      order by d.delivery_id
      limit $2
    )
    union all
    (
      select ${readyColumns} from near as d where not (select f.is from far as f)
    )
    union all
    (
      select d.delivery_id, d.endpoint_id, d.event_id, d.event_recorded_at
      from waiting as w
      join event_runtime.webhook_endpoint as e on e.endpoint_id = w.endpoint_id
      cross join lateral (
        select ${readyColumns}
        from event_runtime.webhook_delivery as d
        where d.endpoint_id = e.endpoint_id and d.delivery_id > 0 and ${claimable}
        order by d.delivery_id
        -- One more than is taken: so it is known that there are more.
        limit $4::bigint + 1
      ) as d
      where ${open} and not (select c.is from crowd as c)
    )
    union all
    (
      select ${readyColumns}
      from event_runtime.webhook_delivery as d
      join event_runtime.webhook_endpoint as e on e.endpoint_id = d.endpoint_id
      where ${open} and (select c.is from crowd as c)
        and d.delivery_id >= (select f.delivery_id from fresh as f) and ${claimable}
      order by d.delivery_id
      limit $2
    )
  ) as r
  order by r.delivery_id
  limit $2
), placed as (
  select r.delivery_id, r.endpoint_id, r.event_id, r.event_recorded_at,
         row_number() over (partition by r.endpoint_id order by r.delivery_id) as place
  from ready as r
), sized as (
  select p.delivery_id,
         sum(coalesce(o.bytes, 0)) over (order by p.delivery_id) - coalesce(o.bytes, 0) as bytes_before
  from placed as p
  left join lateral ${eventOf(payloadBytes, 'p')} as o on true
  where p.place <= $4
), claimed as (
  update event_runtime.webhook_delivery as d
  set state = 'claimed', claimed_by = $1::uuid,
      claimed_until = statement_timestamp() + $6 * interval '1 millisecond'
  from sized as s
  where d.delivery_id = s.delivery_id and (s.bytes_before = 0 or s.bytes_before < $5)
  returning d.delivery_id
)
select coalesce((select array_agg(c.delivery_id::text order by c.delivery_id) from claimed as c), '{}') as delivery_ids,
       (select count(*)::int from ready) as ready`;

const eventColumns = `x.ecosystem, x.event_type, x.event_version, x.idempotency_key, x.correlation_id, x.causation_id,
         x.source_service, x.traceparent, x.headers::text, x.payload::text`;

/**
 * $1 delivery ids, $2 claimer: what was claimed, with its events. After the claim, and without its lock: a client that
 * is stopped while it is sent megabytes would keep the lock for as long.
 */
export const readClaimedSql: string = `
select c.delivery_id::text, c.tenant_id, c.endpoint_id, e.url, e.secret, e.ordering, c.event_id,
       c.seq::text, c.entity_key, c.attempts,
       o.ecosystem, o.event_type, o.event_version, o.idempotency_key, o.correlation_id, o.causation_id,
       o.source_service, o.traceparent, o.headers, o.payload, c.replay_id,
       rtrim(rtrim(to_char(c.event_recorded_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.')
         || '+00' as recorded_at
from unnest($1::bigint[]) as k (delivery_id)
cross join lateral (
  select d.delivery_id, d.tenant_id, d.endpoint_id, d.event_id, d.event_recorded_at, d.seq, d.entity_key, d.attempts,
         d.replay_id
  from event_runtime.webhook_delivery as d
  where d.delivery_id = k.delivery_id and d.claimed_by = $2::uuid
  offset 0
) as c
join event_runtime.webhook_endpoint as e on e.endpoint_id = c.endpoint_id
left join lateral ${eventOf(eventColumns, 'c')} as o on true
order by c.delivery_id`;

/**
 * $1 delivery ids, $2 claimers, $3 outcomes, $4 retry in ms, $5 statuses, $6 codes, $7 reasons, $8 excerpts,
 * $9 durations, $10 ages in ms.
 *
 * `held` is the fence: rows that are still the claimer's, locked in one order, so that two settlements never
 * wait for each other in a circle. It carries the outcome along, for a second join of two intermediate results
 * would have no index. Queue, attempts and dead letters change together: a letter that was redriven goes
 * when it is delivered, or dies again with its history, as it does where a replay sends its event once more. Whose mark
 * it has then is decided as in `keepDeadLetter`.
 */
export const settleSql = `
with held as materialized (
  select d.delivery_id, r.outcome, r.retry_in_ms, r.status_code, r.error_code, r.reason, r.excerpt,
         r.duration_ms, r.age_ms
  from unnest($1::bigint[], $2::uuid[], $3::text[], $4::float8[], $5::int[], $6::text[], $7::text[],
              $8::text[], $9::float8[], $10::float8[])
    as r (delivery_id, claimer, outcome, retry_in_ms, status_code, error_code, reason, excerpt, duration_ms, age_ms)
  join event_runtime.webhook_delivery as d on d.delivery_id = r.delivery_id and d.claimed_by = r.claimer
  order by d.delivery_id
  for update of d
), removed as (
  delete from event_runtime.webhook_delivery as d
  using held as h
  where d.delivery_id = h.delivery_id and h.outcome in ('delivered', 'dead')
  returning d.delivery_id, d.tenant_id, d.endpoint_id, d.event_id, d.event_recorded_at, d.seq, d.entity_key,
            d.replay_id, d.attempts + 1 as attempt, d.first_failed_at, h.outcome, h.status_code, h.error_code, h.reason,
            h.excerpt, h.duration_ms, h.age_ms
), kept as (
  update event_runtime.webhook_delivery as d
  set claimed_by = null, claimed_until = null,
      attempts = d.attempts + case h.outcome when 'retrying' then 1 else 0 end,
      state = case when h.outcome = 'retrying' or d.attempts > 0 then 'retrying' else 'pending' end,
      next_attempt_at = case h.outcome
        when 'retrying' then statement_timestamp() + h.retry_in_ms * interval '1 millisecond'
        else d.next_attempt_at end,
      first_failed_at = case h.outcome
        when 'retrying' then coalesce(d.first_failed_at, statement_timestamp())
        else d.first_failed_at end
  from held as h
  where d.delivery_id = h.delivery_id and h.outcome in ('retrying', 'released')
  returning d.delivery_id, d.tenant_id, d.endpoint_id, d.event_id, d.attempts as attempt, h.outcome,
            h.status_code, h.error_code, h.excerpt, h.duration_ms, h.age_ms
), tried as (
  select x.delivery_id, x.tenant_id, x.endpoint_id, x.event_id, x.attempt, x.outcome, x.status_code,
         x.error_code, x.excerpt, x.duration_ms, x.age_ms
  from removed as x
  union all
  select x.delivery_id, x.tenant_id, x.endpoint_id, x.event_id, x.attempt, x.outcome, x.status_code,
         x.error_code, x.excerpt, x.duration_ms, x.age_ms
  from kept as x
), attempt as (
  insert into event_runtime.webhook_attempt
    (tenant_id, endpoint_id, event_id, attempt, outcome, status_code, error_code, duration_ms,
     response_excerpt, attempted_at)
  select t.tenant_id, t.endpoint_id, t.event_id, t.attempt, t.outcome, t.status_code, t.error_code,
         t.duration_ms, t.excerpt, statement_timestamp() - t.age_ms * interval '1 millisecond'
  from tried as t
  where t.outcome <> 'released'
), dead as (
  insert into event_runtime.dead_letter as d
    (tenant_id, ecosystem, sink, endpoint_id, event_id, event_recorded_at, seq, entity_key, event_type,
     reason_code, reason, attempts, payload, headers, first_failed_at, event_version, idempotency_key,
     correlation_id, causation_id, source_service, traceparent, replay_id)
  select x.tenant_id, o.ecosystem, 'webhooks', x.endpoint_id, x.event_id, x.event_recorded_at, x.seq,
         x.entity_key, coalesce(o.event_type, 'unknown'), coalesce(x.error_code, 'ER4007'),
         left(coalesce(x.reason, ''), 2000), x.attempt, coalesce(o.payload, 'null'), o.headers,
         coalesce(x.first_failed_at, statement_timestamp()), o.event_version, o.idempotency_key,
         o.correlation_id, o.causation_id, o.source_service, o.traceparent, x.replay_id
  from removed as x
  left join lateral (
    select y.ecosystem, y.event_type, y.payload, y.headers, y.event_version, y.idempotency_key, y.correlation_id,
           y.causation_id, y.source_service, y.traceparent
    from event_runtime.outbox as y
    where y.event_id = x.event_id and y.recorded_at = x.event_recorded_at
    offset 0
  ) as o on true
  where x.outcome = 'dead'
  on conflict (event_id, sink, relay, endpoint_id) do update
     set state = 'dead', attempts = d.attempts + excluded.attempts, dead_at = clock_timestamp(),
         reason_code = excluded.reason_code, reason = excluded.reason,
         replay_id = case when d.replay_id is not null then excluded.replay_id end
), redriven as (
  -- The array is a fence: however few letters there are, nothing is read for a settlement without such a delivery.
  delete from event_runtime.dead_letter as d
  where d.dead_letter_id = any (array(
    select l.dead_letter_id
    from removed as x
    cross join lateral (
      select y.dead_letter_id from event_runtime.dead_letter as y
      where y.event_id = x.event_id and y.endpoint_id = x.endpoint_id and y.sink = 'webhooks'
        and y.state = 'redriving'
      offset 0
    ) as l
    where x.outcome = 'delivered' and x.delivery_id < 0
  ))
)
select t.delivery_id::text from tried as t`;

/** $1 claimer, $2 lease in ms. */
export const renewSql = `
update event_runtime.webhook_delivery as d
set claimed_until = statement_timestamp() + $2 * interval '1 millisecond'
where d.claimed_by = $1::uuid`;

export const takeOverSql = `
update event_runtime.webhook_delivery as d
set claimed_by = null, claimed_until = null,
    state = case when d.attempts > 0 then 'retrying' else 'pending' end
where d.claimed_by is not null`;

/** $1 claimer, $2 delivery ids that it keeps. */
export const keepOnlySql = `
update event_runtime.webhook_delivery as d
set claimed_by = null, claimed_until = null,
    state = case when d.attempts > 0 then 'retrying' else 'pending' end
where d.claimed_by = $1::uuid and d.delivery_id <> all ($2::bigint[])`;
