import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, Sink } from '../../sinks/sink.ts';
import { checkResults, checkUnchanged } from './checks.ts';
import { batchOf } from './conformance-events.ts';

export interface HandoverOptions {
  readonly signal: AbortSignal;
  /** Largest batch. */
  readonly batch: number;
  /** Told why a batch, or an event, must be handed over again. */
  readonly onFailure?: (error: unknown) => void;
}

/** What became of one batch. */
export type Answer =
  | { readonly results: readonly DeliveryResult[] }
  /** The sink could say nothing of it. */
  | { readonly results?: undefined; readonly error: unknown };

/** What came of it. */
export interface Handover {
  /** Reasons by event id. */
  readonly rejected: ReadonlyMap<string, string>;
  /** Batches that the sink could say nothing of. */
  readonly failures: number;
}

/**
 * Hands one batch over, in copies of its events.
 *
 * @throws AssertionError when the answer is not one that a sink may give, or the batch was changed
 */
export async function deliverTo(
  sink: Sink,
  events: readonly LoggedEvent[],
  options: DeliverOptions,
): Promise<Answer> {
  const batch = batchOf(events);
  const answer = await sink.deliver(batch, options).then(
    (results): Answer => ({ results }),
    (error: unknown): Answer => ({ error }),
  );
  checkUnchanged(batch.events, events);
  if (answer.results !== undefined) checkResults(events, answer.results);
  return answer;
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
  { signal, batch: most, onFailure }: HandoverOptions,
): Promise<Handover> {
  const rejected = new Map<string, string>();
  let failures = 0;
  let left = [...events];
  while (left.length > 0) {
    signal.throwIfAborted();
    const batch = left.slice(0, most);
    const answer = await deliverTo(sink, batch, { signal, valid: () => true });
    const { results } = answer;
    if (results === undefined) {
      failures += 1;
      onFailure?.(answer.error);
      await sleep(20, undefined, { signal });
      continue;
    }
    const again = batch.filter((_, index) => results[index]?.type === 'retry');
    for (const [index, { event }] of batch.entries()) {
      const result = results[index];
      if (result?.type === 'rejected') rejected.set(event.eventId, result.reason);
      if (result?.type === 'retry') onFailure?.(result.error);
    }
    // Both parts are in order, and what is to be retried is older.
    left = [...again, ...left.slice(batch.length)];
    if (again.length > 0) await sleep(20, undefined, { signal });
  }
  return { rejected, failures };
}
