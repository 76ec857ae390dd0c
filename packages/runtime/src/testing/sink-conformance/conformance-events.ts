import { randomUUID } from 'node:crypto';
import type { Checkpoint } from '../../log/checkpoint.ts';
import type { LoggedEvent, OutboxEvent } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import { type Lsn, zeroLsn } from '../../replication/lsn.ts';
import type { SinkBatch } from '../../sinks/sink.ts';

/** A transaction that has ended in every cluster: sinks in the relay's own database wait for what is not visible. */
const txId = 3n;

/** An event with nothing but what it must have, and what is said. */
export function bareEvent(more: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    eventId: '01a1fbfe-d2c6-722a-be7c-d716c0c2014e',
    seq: 1n,
    tenantId: 'acme',
    ecosystem: null,
    eventType: 'thing.done',
    eventVersion: 1,
    entityKey: null,
    idempotencyKey: null,
    correlationId: null,
    causationId: null,
    sourceService: null,
    traceparent: null,
    headers: null,
    payload: Buffer.from('{}'),
    recordedAt: '2026-11-20 10:00:00+00',
    ...more,
  };
}

/** Makes events as the relay reads them, of one transaction: `seq` and positions grow, ids are new. */
export class ConformanceEvents {
  #made = 0;

  /** @param more what the event has beside a tenant, a type, and `{"n":…}` as its payload */
  make(more: Partial<OutboxEvent> = {}): LoggedEvent {
    this.#made += 1;
    const n = this.#made;
    return {
      event: bareEvent({
        eventId: randomUUID(),
        seq: BigInt(n),
        payload: Buffer.from(`{"n":${n}}`),
        recordedAt: '2026-11-20 10:00:00.123456+00',
        ...more,
      }),
      txId,
      position: { lsn: 4_096n as Lsn, ordinal: n },
      committedAt: Date.now(),
      capturedAt: Date.now(),
    };
  }

  /** So many, of entities in turn. */
  many(
    count: number,
    options: {
      readonly entities: number;
      /** With what their keys begin. Default `entity`. */
      readonly name?: string;
      /** In turn; each has entities of the same keys. Default one. */
      readonly tenants?: readonly string[];
    },
  ): LoggedEvent[] {
    const { entities, name = 'entity', tenants = ['acme'] } = options;
    return Array.from({ length: count }, (_, index) =>
      this.make({
        tenantId: tenants[index % tenants.length] as string,
        entityKey: `${name}-${Math.floor(index / tenants.length) % entities}`,
      }),
    );
  }
}

/**
 * A batch as the relay hands it over. Its events are copies, and but for the bytes of a payload nothing can be changed in
 * it: what a sink does to it is no excuse for what arrives.
 */
export function batchOf(events: readonly LoggedEvent[]): SinkBatch {
  const checkpoint: Checkpoint = {
    mode: 'live',
    position: events.at(-1)?.position ?? { lsn: zeroLsn, ordinal: -1 },
    snapshot: Snapshot.parse(`${txId + 1n}:${txId + 1n}:`),
    batch: null,
    floorSeq: 0n,
    adoption: null,
  };
  return { events: Object.freeze(events.map(copyOf)), checkpoint };
}

function copyOf(logged: LoggedEvent): LoggedEvent {
  const event = Object.freeze({ ...logged.event, payload: Buffer.from(logged.event.payload) });
  return Object.freeze({ ...logged, event });
}
