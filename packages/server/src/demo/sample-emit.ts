import type pg from 'pg';
import { emitByPackage, forPackage } from './sample-outbox.ts';
import type { SamplePayload } from './sample-payload.ts';
import type { PlannedTransaction } from './sample-plan.ts';

/** An event as the database answered it, with what it was made of. */
export interface EmittedEvent {
  readonly eventId: string;
  readonly payload: SamplePayload;
}

/**
 * Runs one planned transaction, as an application would: its own row, the events, COMMIT.
 *
 * Where the package `@event-runtime/outbox` can make the very text, it emits; the SQL function does where
 * it cannot, and where an event is undone.
 *
 * Locks cannot cross: a transaction takes the locks of its entities in one call (`emit_many` sorts
 * them) or has one entity only, and the counters are touched after that, under these locks.
 *
 * @param beforeCommit called with the events right before COMMIT is sent
 */
export async function runPlanned(
  client: pg.ClientBase,
  planned: PlannedTransaction,
  beforeCommit: (events: readonly EmittedEvent[]) => void,
): Promise<void> {
  await client.query('begin');
  await client.query({
    name: 'demo_thing',
    text: 'insert into demo.thing (tenant, description) values ($1, $2)',
    values: [planned.tenant, planned.events.map((event) => event.type).join(', ')],
  });
  if (planned.undoneFirst) await emitAndUndo(client, planned);
  const emitted = await emit(client, planned, planned.events);
  await record(client, planned.tenant, emitted);
  if (!planned.undoneFirst) await emitAndUndo(client, planned);
  if (planned.outcome === 'rollback') {
    await client.query('rollback');
    return;
  }
  beforeCommit(emitted);
  await client.query('commit');
}

async function emitAndUndo(client: pg.ClientBase, planned: PlannedTransaction): Promise<void> {
  if (planned.undone === undefined) return;
  await client.query('savepoint before_doubt');
  const undone = await emit(client, planned, [planned.undone]);
  await record(client, planned.tenant, undone);
  await client.query('rollback to savepoint before_doubt');
}

async function emit(
  client: pg.ClientBase,
  planned: PlannedTransaction,
  events: readonly SamplePayload[],
): Promise<EmittedEvent[]> {
  if (forPackage(events)) {
    const { tenant, shape } = planned;
    const ids = await emitByPackage(client, events, { tenant, many: shape === 'many' });
    return events.map((payload, index) => ({ eventId: ids[index] ?? '', payload }));
  }
  const { rows } = await client.query<{ event_id: string }>(
    planned.shape === 'many' ? emitMany(planned, events) : emitOne(planned, events),
  );
  if (rows.length !== events.length) {
    throw new Error(`emit answered ${rows.length} rows for ${events.length} events`);
  }
  return events.map((payload, index) => ({ eventId: rows[index]?.event_id ?? '', payload }));
}

function emitOne(planned: PlannedTransaction, events: readonly SamplePayload[]): pg.QueryConfig {
  const [event] = events;
  return {
    name: 'demo_emit',
    text: `
      select event_id
      from event_runtime.emit(
        event_type => $1, payload => $2::json, tenant_id => $3, entity_key => $4,
        source_service => 'demo', lock_entity => true)`,
    values: [event?.type, event?.text, planned.tenant, event?.entityKey],
  };
}

function emitMany(planned: PlannedTransaction, events: readonly SamplePayload[]): pg.QueryConfig {
  return {
    name: 'demo_emit_many',
    text: `
      select event_id
      from event_runtime.emit_many(
        event_types => $1::text[], payloads => $2::json[], tenant_ids => array[$3::text],
        entity_keys => $4::text[], source_services => array['demo'], lock_entity => true)
      order by ordinal`,
    values: [
      events.map((event) => event.type),
      events.map((event) => event.text),
      planned.tenant,
      events.map((event) => event.entityKey),
    ],
  };
}

/** Writes what the events are, in the same transaction; the counter's row lock makes the ordinals gapless. */
async function record(
  client: pg.ClientBase,
  tenant: string,
  emitted: readonly EmittedEvent[],
): Promise<void> {
  await client.query({
    name: 'demo_record',
    text: `
      with emitted as (
        select event_id, entity_key, event_type, sha256, position
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
          with ordinality as e (event_id, entity_key, event_type, sha256, position)
      ), counted as (
        insert into demo.counter as c (tenant, entity_key, n)
        select $1, entity_key, count(*) from emitted group by entity_key order by entity_key
        on conflict (tenant, entity_key) do update set n = c.n + excluded.n
        returning c.entity_key, c.n
      )
      insert into demo.expected (event_id, tenant, entity_key, ordinal, event_type, sha256)
      select event_id, $1, entity_key,
             n - count(*) over (partition by entity_key)
               + row_number() over (partition by entity_key order by position),
             event_type, sha256
      from emitted join counted using (entity_key)`,
    values: [
      tenant,
      emitted.map((event) => event.eventId),
      emitted.map((event) => event.payload.entityKey),
      emitted.map((event) => event.payload.type),
      emitted.map((event) => event.payload.sha256),
    ],
  });
}
