import { deliveryCases } from './delivery-cases.ts';
import { lifeCases } from './life-cases.ts';
import { outageCases } from './outage-cases.ts';
import type { SinkCase, SinkConformanceOptions } from './sink-site.ts';

/**
 * What every sink must hold, as cases for any test runner:
 *
 * ```ts
 * for (const { name, run } of sinkConformance({ create, features })) test(name, () => run());
 * ```
 *
 * The order of an entity, at least once, one result for each event, payloads and envelope unchanged, deduplication and
 * the largest payload where the sink declares them; that an event which can never be stored stops no other; that it
 * settles when it is aborted and when it is disposed, and writes nothing behind that, nor without the lease; that it
 * loses nothing while its destination is away, and does not wait without end for one that hangs. What it cannot see:
 * whether "delivered" is durable (`received` reads what the destination shows), and what becomes of a process that is
 * killed.
 */
export function sinkConformance(options: SinkConformanceOptions): readonly SinkCase[] {
  return [...deliveryCases(options), ...lifeCases(options), ...outageCases(options)];
}
