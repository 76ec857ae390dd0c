import type pg from 'pg';
import { runtimeError } from '../errors/codes.ts';
import type { OutboxEvent } from '../log/outbox-event.ts';
import {
  claimSql,
  keepOnlySql,
  lockForClaim,
  lockForSettlement,
  planForClaim,
  readClaimedSql,
  renewSql,
  settleSql,
  takeOverSql,
} from './delivery-sql.ts';
import type { Ordering } from './endpoints.ts';
import { transaction } from './transaction.ts';

/** A delivery that a claimer holds, with its event and its endpoint as they were right after the claim. */
export interface ClaimedDelivery {
  /** Grows in log order; below 0: a dead letter that is redriven, before all else of its group. Only compared. */
  readonly deliveryId: string;
  readonly claimerId: string;
  readonly tenantId: string;
  readonly endpointId: string;
  readonly url: string;
  /** Sealed: see `SecretBox`. */
  readonly sealedSecret: Buffer;
  readonly ordering: Ordering;
  /** What order is kept by: the same for deliveries that must follow one another; null for none. */
  readonly group: string | null;
  readonly eventId: string;
  /** Attempts before this one. */
  readonly attempts: number;
  /** Null when the event is no longer in the outbox. */
  readonly event: OutboxEvent | null;
}

export interface Claim {
  /** In log order. */
  readonly deliveries: readonly ClaimedDelivery[];
  /** Whether more could have been claimed but for the limits. */
  readonly more: boolean;
}

export interface ClaimOptions {
  readonly claimerId: string;
  /** Milliseconds until others may claim the rows, unless renewed. */
  readonly leaseMs: number;
  /** Most deliveries. */
  readonly limit: number;
  /** Most deliveries of one endpoint. */
  readonly limitPerEndpoint: number;
  /** Payload bytes after which no further delivery is added; the first is always claimed. */
  readonly maxBytes: number;
  /** Endpoints to leave out. */
  readonly exceptEndpoints: readonly string[];
  readonly signal?: AbortSignal;
}

/** What became of a claimed delivery. */
export interface Settlement {
  readonly delivery: ClaimedDelivery;
  /**
   * `delivered` and `dead` leave the queue (`dead` into `dead_letter`), `retrying` waits for its time,
   * `released` was not tried and is pending again.
   */
  readonly outcome: 'delivered' | 'retrying' | 'dead' | 'released';
  /** For `retrying`: milliseconds until the next attempt. */
  readonly retryInMs?: number;
  readonly status?: number | null;
  /** For a failure: its code in the catalogue, and what to tell a person. */
  readonly errorCode?: string | null;
  readonly reason?: string | null;
  readonly responseExcerpt?: string | null;
  readonly durationMs?: number;
  /** Milliseconds between the beginning of the attempt and this settlement. */
  readonly ageMs?: number;
}

/**
 * The queue of pending deliveries, in the table `webhook_delivery`.
 *
 * The claim rule: a delivery may be claimed only if nothing earlier of its ordering group waits for a retry or
 * is held by another live claimer; what is earlier and free is claimed with it. So a group is in one claimer's
 * hands, in order. Rows of a claimer whose lease has run out are free. A dead letter that is redriven is older than what
 * is pending of its group; while another claimer holds some of that, it waits.
 *
 * Claims take an advisory lock alone, in a statement of its own, so that the claiming statement's snapshot is
 * younger than every claim before it; settlements and renewals share that lock, so that no claim judges a
 * group by rows that are changing. A settlement counts only for rows that its claimer still holds.
 *
 * The pool stays its owner's; give it a `query_timeout`, for a hung connection is otherwise waited for.
 */
export class DeliveryQueue {
  readonly #pool: pg.Pool;

  constructor(options: { readonly pool: pg.Pool }) {
    this.#pool = options.pool;
  }

  /**
   * Claims deliveries that are due, the earliest first. Never one that this claimer holds already.
   *
   * Where it throws it may have claimed all the same: see {@link keepOnly}.
   */
  async claim(options: ClaimOptions): Promise<Claim> {
    const { claimerId, signal } = options;
    const { delivery_ids: ids, ready } = await transaction(
      this.#pool,
      async (client) => {
        await client.query(`${planForClaim}; ${lockForClaim}`);
        const { rows } = await client.query<{ delivery_ids: readonly string[]; ready: number }>({
          name: 'webhooks-claim',
          text: claimSql,
          values: [
            claimerId,
            options.limit,
            options.exceptEndpoints,
            options.limitPerEndpoint,
            options.maxBytes,
            options.leaseMs,
          ],
        });
        return rows[0] ?? { delivery_ids: [], ready: 0 };
      },
      { signal, localCommit: true },
    );
    if (ids.length === 0) return { deliveries: [], more: false };
    const rows = await transaction(this.#pool, async (client) => {
      await client.query(planForClaim);
      const result = await client.query<ClaimRow>({
        name: 'webhooks-read-claimed',
        text: readClaimedSql,
        values: [ids, claimerId],
      });
      return result.rows;
    });
    const deliveries = rows.map((row) => toDelivery(row, claimerId));
    return { deliveries, more: ready > ids.length || ready >= options.limit };
  }

  /**
   * Stores outcomes: one statement for all of them. Returns the ids of the deliveries that were still held;
   * the others had been taken over by another claimer, and nothing is stored for them.
   */
  async settle(
    settlements: readonly Settlement[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ReadonlySet<string>> {
    if (settlements.length === 0) return new Set();
    return await transaction(
      this.#pool,
      async (client) => {
        await client.query(lockForSettlement);
        const result = await client.query<{ delivery_id: string }>({
          name: 'webhooks-settle',
          text: settleSql,
          values: settlementColumns(settlements),
        });
        return new Set(result.rows.map((row) => row.delivery_id));
      },
      { signal: options.signal, localCommit: true },
    );
  }

  /** Prolongs the lease of everything that a claimer holds. */
  async renew(options: {
    readonly claimerId: string;
    readonly leaseMs: number;
    readonly signal?: AbortSignal;
  }): Promise<void> {
    await transaction(
      this.#pool,
      async (client) => {
        await client.query(lockForSettlement);
        await client.query({
          name: 'webhooks-renew',
          text: renewSql,
          values: [options.claimerId, options.leaseMs],
        });
      },
      { signal: options.signal, localCommit: true },
    );
  }

  /**
   * Frees what a claimer holds beside the given deliveries: after a claim whose commit was not confirmed, its
   * rows may be the claimer's without its knowing.
   */
  async keepOnly(options: {
    readonly claimerId: string;
    readonly deliveryIds: readonly string[];
    readonly signal?: AbortSignal;
  }): Promise<void> {
    await transaction(
      this.#pool,
      async (client) => {
        await client.query(lockForClaim);
        await client.query(keepOnlySql, [options.claimerId, options.deliveryIds]);
      },
      { signal: options.signal, localCommit: true },
    );
  }

  /**
   * Frees every claim at once, whoever holds it: for the start of a process that is known to be the only one,
   * so that it does not wait for the leases of the one before. Returns how many there were.
   *
   * @param options.valid asked once the queue is ours: whether this process still is the one
   * @throws ER1207 it is not
   */
  async takeOver(
    options: { readonly signal?: AbortSignal; readonly valid?: () => boolean } = {},
  ): Promise<number> {
    return await transaction(
      this.#pool,
      async (client) => {
        await client.query(lockForClaim);
        if (options.valid?.() === false) throw runtimeError('ER1207', { detail: 'Webhook deliveries.' });
        return (await client.query(takeOverSql)).rowCount ?? 0;
      },
      { signal: options.signal, localCommit: true },
    );
  }
}

interface ClaimRow {
  readonly delivery_id: string;
  readonly tenant_id: string;
  readonly endpoint_id: string;
  readonly url: string;
  readonly secret: Buffer;
  readonly ordering: Ordering;
  readonly event_id: string;
  readonly seq: string;
  readonly entity_key: string | null;
  readonly attempts: number;
  readonly ecosystem: string | null;
  readonly event_type: string | null;
  readonly event_version: number;
  readonly idempotency_key: string | null;
  readonly correlation_id: string | null;
  readonly causation_id: string | null;
  readonly source_service: string | null;
  readonly traceparent: string | null;
  readonly headers: string | null;
  readonly replay_id: string | null;
  readonly payload: string | null;
  readonly recorded_at: string;
}

function toDelivery(row: ClaimRow, claimerId: string): ClaimedDelivery {
  return {
    deliveryId: row.delivery_id,
    claimerId,
    tenantId: row.tenant_id,
    endpointId: row.endpoint_id,
    url: row.url,
    sealedSecret: row.secret,
    ordering: row.ordering,
    group: groupOf(row),
    eventId: row.event_id,
    attempts: row.attempts,
    event: toEvent(row),
  };
}

/** Must say the same as the claim rule in SQL. */
function groupOf(row: ClaimRow): string | null {
  switch (row.ordering) {
    case 'none':
      return null;
    case 'endpoint':
      return row.endpoint_id;
    case 'entity':
      break;
  }
  return row.entity_key === null ? null : `${row.endpoint_id}\u0000${row.entity_key}`;
}

function toEvent(row: ClaimRow): OutboxEvent | null {
  if (row.event_type === null || row.payload === null) return null;
  return {
    eventId: row.event_id,
    seq: BigInt(row.seq),
    tenantId: row.tenant_id,
    ecosystem: row.ecosystem,
    eventType: row.event_type,
    eventVersion: row.event_version,
    entityKey: row.entity_key,
    idempotencyKey: row.idempotency_key,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    sourceService: row.source_service,
    traceparent: row.traceparent,
    headers: row.headers,
    payload: Buffer.from(row.payload),
    recordedAt: row.recorded_at,
    ...(row.replay_id === null ? {} : { replay: row.replay_id }),
  };
}

function settlementColumns(settlements: readonly Settlement[]): unknown[] {
  return [
    settlements.map((s) => s.delivery.deliveryId),
    settlements.map((s) => s.delivery.claimerId),
    settlements.map((s) => s.outcome),
    settlements.map((s) => s.retryInMs ?? 0),
    settlements.map((s) => s.status ?? null),
    settlements.map((s) => s.errorCode ?? null),
    settlements.map((s) => storable(s.reason ?? null)),
    settlements.map((s) => storable(s.responseExcerpt ?? null)),
    settlements.map((s) => s.durationMs ?? null),
    settlements.map((s) => s.ageMs ?? 0),
  ];
}

/** PostgreSQL's text has no NUL; an endpoint may answer with one. */
function storable(text: string | null): string | null {
  return text === null ? null : text.replaceAll('\u0000', '\u{fffd}');
}
