import { entityOf, type LoggedEvent } from '../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sinks/sink.ts';
import type { RoutesTo } from './route.ts';

/** Milliseconds before an event is tried again of which a route's function threw. */
const retryAfterMs = 1_000;

/** A sink that is given only what its routes let pass, and as what they make of it. */
export class RoutedSink implements Sink {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly #sink: Sink;
  readonly #routes: RoutesTo;

  constructor(sink: Sink, routes: RoutesTo) {
    this.name = sink.name;
    this.features = sink.features;
    this.#sink = sink;
    this.#routes = routes;
  }

  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    const decided: Array<DeliveryResult | undefined> = [];
    const there: Array<SinkBatch['events'][number]> = [];
    const waiting = new Set<string>();
    for (const logged of batch.events) {
      const routing = this.#routes.of(logged.event);
      switch (routing.type) {
        case 'elsewhere':
          decided.push({ type: 'delivered' });
          break;
        case 'failed': {
          decided.push(resultOfFailure(routing));
          const entity = entityOf(logged.event);
          if (routing.onError === 'retry' && entity !== undefined) waiting.add(entity);
          break;
        }
        case 'there': {
          const held = heldBy(logged, waiting);
          decided.push(held ? behind(routing.route) : undefined);
          const { event, subject } = routing;
          if (!held) there.push({ ...logged, event, ...(subject === undefined ? {} : { subject }) });
          break;
        }
        default:
          routing satisfies never;
      }
    }
    // Also with nothing: a sink that stores the checkpoint with its work must come to it.
    const results = await this.#sink.deliver({ ...batch, events: there }, options);
    let next = 0;
    return inOrder(
      batch.events,
      decided.map((result) => result ?? (results[next++] as DeliveryResult)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink[Symbol.asyncDispose]();
  }
}

function resultOfFailure(failure: {
  readonly route: number;
  readonly error: Error;
  readonly onError: 'dead-letter' | 'retry';
}): DeliveryResult {
  const { route, error, onError } = failure;
  if (onError === 'retry') return { type: 'retry', afterMs: retryAfterMs, error };
  // Without its message, which may have data in it: that is kept with the dead letter only.
  return { type: 'rejected', reason: `routes[${route}] threw ${error.name}`, error };
}

function behind(route: number): DeliveryResult {
  const error = new Error(`routes[${route}]: an earlier event of its entity waits`);
  return { type: 'retry', afterMs: retryAfterMs, error };
}

function heldBy({ event }: LoggedEvent, waiting: ReadonlySet<string>): boolean {
  const entity = entityOf(event);
  return entity !== undefined && waiting.has(entity);
}

/** What goes elsewhere counts as delivered only where nothing before it of its entity waits. */
function inOrder(
  events: readonly LoggedEvent[],
  results: readonly DeliveryResult[],
): readonly DeliveryResult[] {
  const waiting = new Map<string, DeliveryResult>();
  return results.map((result, index) => {
    const entity = entityOf((events[index] as LoggedEvent).event);
    if (entity === undefined) return result;
    const before = waiting.get(entity);
    if (before !== undefined) return before;
    if (result.type === 'retry') waiting.set(entity, result);
    return result;
  });
}
