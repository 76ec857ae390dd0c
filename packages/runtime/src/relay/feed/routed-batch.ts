import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, HandedEvent } from '../../sinks/sink.ts';
import type { RoutesTo, Routing } from '../route.ts';

/** Milliseconds before an event is tried again of which a route's function threw. */
const retryAfterMs = 1_000;

/** Of an event that is kept as a dead letter because an earlier one of its entity is one. */
export const waitsBehind: DeliveryResult & { readonly type: 'rejected' } = {
  type: 'rejected',
  reason: 'waits behind an earlier dead letter of its entity',
};

/** What routes make of a batch. */
export interface RoutedBatch {
  /** What the sink is given, in order. */
  readonly handed: readonly HandedEvent[];
  /** Of each event of the batch, what is decided without the sink; undefined: the sink says. */
  readonly decided: ReadonlyArray<DeliveryResult | undefined>;
}

/**
 * Decides which events of a batch a sink is given, and as what. What comes behind an event of its entity that is to be
 * tried again is not given.
 *
 * @param routes undefined: everything goes there, as it is
 * @param waits whether an event waits behind a dead letter: then the sink is not given it. Default: none does
 */
export function routeBatch(
  batch: readonly LoggedEvent[],
  routes: RoutesTo | undefined,
  waits?: (logged: LoggedEvent) => boolean,
): RoutedBatch {
  if (routes === undefined && waits === undefined)
    return { handed: batch, decided: batch.map(() => undefined) };
  const handed: HandedEvent[] = [];
  const waiting = new Map<string, DeliveryResult>();
  const decided = batch.map((logged): DeliveryResult | undefined => {
    const entity = entityOf(logged.event);
    const before = entity === undefined ? undefined : waiting.get(entity);
    if (before !== undefined) return before;
    const routing: Routing = routes?.of(logged.event) ?? { type: 'there', route: 0, event: logged.event };
    if (routing.type === 'elsewhere') return { type: 'delivered' };
    if (waits?.(logged) === true) return waitsBehind;
    if (routing.type === 'there') {
      const { event, subject } = routing;
      handed.push({ ...logged, event, ...(subject === undefined ? {} : { subject }) });
      return undefined;
    }
    const result = failure(routing);
    if (result.type === 'retry' && entity !== undefined) waiting.set(entity, result);
    return result;
  });
  return { handed, decided };
}

/**
 * One result for each event of the batch. What goes elsewhere counts as delivered only where nothing before it of its
 * entity is to be tried again.
 *
 * @param results of the sink, one for each event that it was given
 */
export function allResults(
  batch: readonly LoggedEvent[],
  { decided }: RoutedBatch,
  results: readonly DeliveryResult[],
): readonly DeliveryResult[] {
  let next = 0;
  const waiting = new Map<string, DeliveryResult>();
  const all = batch.map((_, index) => decided[index] ?? (results[next++] as DeliveryResult));
  return all.map((result, index) => {
    const { event } = batch[index] as LoggedEvent;
    const entity = entityOf(event);
    if (entity === undefined) return result;
    const before = waiting.get(entity);
    if (before !== undefined) return before;
    if (result.type === 'retry') waiting.set(entity, result);
    return result;
  });
}

/** Its message may have data in it: that is kept with the dead letter, and logged nowhere. */
function failure({ route, error, onError }: Routing & { type: 'failed' }): DeliveryResult {
  const reason = `routes[${route}] threw ${error.name}`;
  if (onError === 'retry') return { type: 'retry', afterMs: retryAfterMs, error: new Error(reason) };
  return { type: 'rejected', reason, error };
}
