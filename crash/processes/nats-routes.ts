import type { Route } from '@event-runtime/runtime';
import type { LedgerEntry } from '../verdict/verdict.ts';
import { eventTypes } from '../workload/transaction-plan.ts';

const [, , routedType] = eventTypes;

/**
 * Into NATS by two routes: events of one entity are under subjects of either, and must keep their order all the same.
 *
 * @param nats name of the sink into NATS
 * @param others names of the other sinks, which have every event
 */
export function natsRoutes(nats: string, others: readonly string[]): Route[] {
  return [
    { to: [nats], type: routedType, subject: 'routed.<key>.<tenant>' },
    { to: [nats], subject: 'events.<tenant>.<type>' },
    { to: others },
  ];
}

/** The subject of an event in the stream, put together without the relay's templates. */
export function natsSubjectOf({ tenant, entityKey, eventType }: LedgerEntry): string {
  const tokens =
    eventType === routedType ? ['routed', entityKey, tenant] : ['events', tenant, ...eventType.split('.')];
  // For the characters of a run's tenants, keys and types this is the encoding of the guide.
  return tokens.map(encodeURIComponent).join('.');
}
