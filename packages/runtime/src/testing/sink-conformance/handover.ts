import { AssertionError } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink } from '../../sinks/sink.ts';
import { batchOf } from './conformance-events.ts';

export interface HandoverOptions {
  readonly signal: AbortSignal;
  /** Largest batch. */
  readonly batch: number;
}

/** What came of it. */
export interface Handover {
  /** Reasons by event id. */
  readonly rejected: ReadonlyMap<string, string>;
  /** Batches that the sink could say nothing of. */
  readonly failures: number;
}

/**
 * Hands events over until each is delivered or rejected, as a relay does, but written apart from it and much simpler: a
 * batch that fails is handed over again whole; what is to be retried goes first, and nothing later of its entity
 * before it.
 *
 * @throws AssertionError when an answer is not one that a sink may give; the signal's reason
 */
export async function handOver(
  sink: Sink,
  events: readonly LoggedEvent[],
  { signal, batch: most }: HandoverOptions,
): Promise<Handover> {
  const rejected = new Map<string, string>();
  let failures = 0;
  let left = [...events];
  while (left.length > 0) {
    signal.throwIfAborted();
    const batch = left.slice(0, most);
    let results: readonly DeliveryResult[];
    try {
      results = await sink.deliver(batchOf(batch), { signal, valid: () => true });
    } catch {
      failures += 1;
      await sleep(20, undefined, { signal });
      continue;
    }
    checkResults(batch, results);
    const again = batch.filter((_, index) => results[index]?.type === 'retry');
    for (const [index, { event }] of batch.entries()) {
      const result = results[index];
      if (result?.type === 'rejected') rejected.set(event.eventId, result.reason);
    }
    // Both parts are in order, and what is to be retried is older.
    left = [...again, ...left.slice(batch.length)];
    if (again.length > 0) await sleep(20, undefined, { signal });
  }
  return { rejected, failures };
}

/** @throws AssertionError */
export function checkResults(batch: readonly LoggedEvent[], results: readonly DeliveryResult[]): void {
  if (results.length !== batch.length) {
    throw violation(`${batch.length} events were handed over, ${results.length} results came back`);
  }
  const waiting = new Set<string>();
  for (const [index, { event }] of batch.entries()) {
    const { type } = results[index] as DeliveryResult;
    const entity = entityOf(event);
    if (entity === undefined) continue;
    if (type === 'retry') waiting.add(entity);
    else if (type === 'delivered' && waiting.has(entity)) {
      throw violation(
        `event ${index} of the batch was delivered although an earlier one of its entity is to be retried`,
      );
    }
  }
}

function violation(message: string): AssertionError {
  return new AssertionError({ message });
}
