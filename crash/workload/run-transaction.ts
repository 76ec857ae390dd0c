import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOutbox, defineCatalog, defineEvent, type StandardSchema } from '@event-runtime/outbox';
import type pg from 'pg';
import { nextOrdinal, record } from './ledger.ts';
import { eventTypes, type PlannedEvent, type TransactionPlan } from './transaction-plan.ts';

const anything: StandardSchema<Record<string, unknown>, Record<string, unknown>> = {
  '~standard': {
    version: 1,
    vendor: 'event-runtime-crash',
    validate: (value) => ({ value: value as Record<string, unknown> }),
  },
};
const events = eventTypes.map((type) =>
  defineEvent(type, { schema: anything, key: (data) => String(data['entity']) }),
);
const outbox = createOutbox({ catalog: defineCatalog({ source: 'crash', events }) });

/**
 * Runs one transaction up to its end, COMMIT included.
 *
 * Each event is written under its entity's row lock: its counter is drawn, it is emitted, and what it is goes into the
 * ledger, all in this transaction.
 *
 * @returns the committed events' ids; none when it was rolled back
 */
export async function runTransaction(client: pg.ClientBase, plan: TransactionPlan): Promise<string[]> {
  await client.query('begin');
  if (!plan.durable) await client.query('set local synchronous_commit = off');
  if (plan.undone === 'first') await writeAndUndo(client, plan);
  const eventIds: string[] = [];
  for (const event of plan.events) eventIds.push(await write(client, plan, event));
  if (plan.undone === 'last') await writeAndUndo(client, plan);
  if (plan.holdMs > 0) await sleep(plan.holdMs);
  await client.query(plan.ending);
  return plan.ending === 'commit' ? eventIds : [];
}

/** On the last entity: every lock that the transaction takes before or after stays in order. */
async function writeAndUndo(client: pg.ClientBase, plan: TransactionPlan): Promise<void> {
  const event = plan.undone === 'first' ? plan.events[0] : plan.events.at(-1);
  if (event === undefined) return;
  await client.query('savepoint doubt');
  await write(client, plan, event);
  await client.query('rollback to savepoint doubt');
}

async function write(client: pg.ClientBase, plan: TransactionPlan, event: PlannedEvent): Promise<string> {
  const { tenant } = plan;
  const { entityKey, eventType, text } = event;
  const ordinal = await nextOrdinal(client, { tenant, entityKey });
  const eventId =
    plan.via === 'sql' ? await emitBySql(client, plan, event) : await emitByPackage(client, plan, event);
  const sha256 = createHash('sha256').update(text).digest('hex');
  const bytes = Buffer.byteLength(text);
  await record(client, { eventId, tenant, entityKey, eventType, ordinal, sha256, bytes });
  return eventId;
}

async function emitBySql(client: pg.ClientBase, plan: TransactionPlan, event: PlannedEvent): Promise<string> {
  const { rows } = await client.query<{ event_id: string }>({
    name: 'crash_emit',
    text: `
      select event_id from event_runtime.emit(
        event_type => $1, payload => $2::json, tenant_id => $3, entity_key => $4, source_service => 'crash')`,
    values: [event.eventType, event.text, plan.tenant, event.entityKey],
  });
  const row = rows[0];
  if (row === undefined) throw new Error('emit answered no row');
  return row.event_id;
}

async function emitByPackage(
  client: pg.ClientBase,
  plan: TransactionPlan,
  event: PlannedEvent,
): Promise<string> {
  const data = JSON.parse(event.text) as Record<string, unknown>;
  const counted = events.find(({ type }) => type === event.eventType);
  if (counted === undefined) throw new TypeError(`${event.eventType} is not in the catalogue`);
  const { eventId } = await outbox.emit(client, counted, data, { tenant: plan.tenant });
  return eventId;
}
