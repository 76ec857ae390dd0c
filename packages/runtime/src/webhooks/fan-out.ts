import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { type CheckpointOwner, saveCheckpoint } from '../log/checkpoint.ts';
import type { LoggedEvent } from '../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sinks/sink.ts';
import { transaction } from './transaction.ts';

export interface WebhookSinkOptions {
  /** The pool of the database with the schema `event_runtime`; it stays its owner's. */
  readonly pool: pg.Pool;
  /** Under what the sink stores its checkpoint. */
  readonly owner: CheckpointOwner;
  /** The sink's name in `relay_checkpoint` and in the inbox. Default `webhooks`. */
  readonly name?: string;
  /** Told, after the commit, how many deliveries a batch made (never 0); to wake the deliverer. */
  readonly onFanOut?: (deliveries: number) => void;
}

/**
 * `fresh` is the inbox: only events that it has not seen make deliveries. A replay is another consumer; where a
 * delivery of the event is still to be made, that one is its delivery, too. The deliveries' identity is drawn
 * after the sort, so that it follows the batch. A subscription's `*` becomes LIKE's `%`; LIKE's own signs
 * are escaped.
 */
const fanOutSql = `
with event as (
  select e.event_id, e.recorded_at, e.tenant_id, e.event_type, e.entity_key, e.seq, e.place
  from unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bigint[])
    with ordinality as e (event_id, recorded_at, tenant_id, event_type, entity_key, seq, place)
), fresh as (
  insert into event_runtime.consumer_idempotency (consumer, event_id, recorded_at)
  select $1, event.event_id, event.recorded_at from event
  on conflict do nothing
  returning event_id
), made as (
  insert into event_runtime.webhook_delivery
    (tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key, replay_id)
  select event.tenant_id, endpoint.endpoint_id, event.event_id, event.recorded_at, event.seq, event.entity_key, $9::uuid
  from event
  join fresh on fresh.event_id = event.event_id
  join event_runtime.webhook_endpoint as endpoint
    on endpoint.tenant_id = event.tenant_id and endpoint.state = 'enabled'
  where exists (
    select from event_runtime.webhook_subscriptions as s
    where s.endpoint_id = endpoint.endpoint_id and s.tenant_id = endpoint.tenant_id
      and event.event_type like
        replace(replace(replace(replace(s.event_type, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%')
  )
  order by event.place, endpoint.endpoint_id
  on conflict (endpoint_id, event_id) do nothing
  returning 1
)
select (select count(*) from made)::int as deliveries,
  (select coalesce(bool_and(pg_visible_in_snapshot(t.id, pg_current_snapshot())), true)
   from unnest($8::xid8[]) as t (id)) as visible`;

/** A commit is in the log, and was sent to us, before others see what it wrote: so long it is waited for. Milliseconds. */
const patienceMs = 1_000;
const lookMs = 5;

/**
 * The sink that turns events into deliveries to the tenant's endpoints.
 *
 * One transaction for each batch: the inbox rows, the deliveries of events that the inbox had not seen, and
 * the checkpoint. So an event that is handed over again is not fanned out again, and the endpoints that count
 * are those at the first time. Payloads are not copied: the outbox keeps them. An event is fanned out once its commit is
 * visible to others; until then the batch is not delivered.
 */
export class WebhookSink implements Sink {
  readonly name: string;
  readonly features: SinkFeatures = { order: true, dedupe: true, ownCheckpoint: true };
  readonly #options: WebhookSinkOptions;

  constructor(options: WebhookSinkOptions) {
    this.name = options.name ?? 'webhooks';
    this.#options = options;
  }

  async deliver(
    batch: SinkBatch,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]> {
    const { onFanOut } = this.#options;
    const until = performance.now() + patienceMs;
    let deliveries = await this.#fanOut(batch, options);
    for (; deliveries === undefined; deliveries = await this.#fanOut(batch, options)) {
      do {
        if (performance.now() > until) throw runtimeError('ER4013', { detail: `Sink ${this.name}.` });
        await sleep(lookMs, undefined, { signal: options.signal });
      } while (!(await this.#visible(batch)));
    }
    // failpoint: webhooks.fan-out.after
    if (deliveries > 0) onFanOut?.(deliveries);
    return batch.events.map(() => ({ type: 'delivered' }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between two batches; the pool is its owner's.
  }

  async #visible({ events }: SinkBatch): Promise<boolean> {
    const { rows } = await this.#options.pool.query<{ visible: boolean }>(
      `select coalesce(bool_and(pg_visible_in_snapshot(t.id, pg_current_snapshot())), true) as visible
         from unnest($1::xid8[]) as t (id)`,
      [loggedIds(events)],
    );
    return rows[0]?.visible === true;
  }

  /** @returns how many deliveries it made; undefined, and nothing is written: an event is not visible yet */
  async #fanOut(batch: SinkBatch, { signal }: { readonly signal: AbortSignal }): Promise<number | undefined> {
    const { pool, owner } = this.#options;
    const fanOut = transaction(
      pool,
      async (client) => {
        // First of all, for its row lock: fan-outs of one sink queue up behind it, and that of a relay that has
        // lost its lease is turned away. So delivery ids follow the log and commit in their order.
        await saveCheckpoint(client, { sink: this.name, owner, checkpoint: batch.checkpoint });
        const [first] = batch.events;
        if (first === undefined) return 0;
        // All of a batch are of one replay, or of none.
        const { replay = null } = first.event;
        const consumer = replay === null ? this.name : `${this.name} ${replay}`;
        const { rows } = await client.query<{ deliveries: number; visible: boolean }>({
          name: 'webhooks-fan-out',
          text: fanOutSql,
          values: [consumer, ...columns(batch.events), loggedIds(batch.events), replay],
        });
        // The claim of a delivery would not find its event, and a customer who asks back would find nothing.
        if (rows[0]?.visible === false) throw new NotVisible();
        // failpoint: webhooks.fan-out.before
        return rows[0]?.deliveries ?? 0;
      },
      { signal, localCommit: true },
    );
    return await fanOut.catch((error: unknown) => {
      if (error instanceof NotVisible) return undefined;
      throw error;
    });
  }
}

/** Rolls a fan-out back. */
class NotVisible extends Error {}

/** What was read from the table is visible; ids of another cluster, which may be among them, say nothing here. */
function loggedIds(events: readonly LoggedEvent[]): string[] {
  const ids = events.filter(({ position }) => position !== null).map(({ txId }) => txId);
  return [...new Set(ids)].map(String);
}

function columns(events: readonly LoggedEvent[]): unknown[] {
  return [
    events.map(({ event }) => event.eventId),
    events.map(({ event }) => event.recordedAt),
    events.map(({ event }) => event.tenantId),
    events.map(({ event }) => event.eventType),
    events.map(({ event }) => event.entityKey),
    events.map(({ event }) => event.seq.toString()),
  ];
}
