import type { ExpectedEvent } from './expected-events.ts';
import type { Arrivals, ReceivedEvent } from './received-events.ts';

/** What can be wrong with a delivery. */
export type DifferenceKind = 'lost' | 'phantom' | 'reordered' | 'corrupted' | 'badSignature' | 'repeated';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly eventId: string;
  /** One readable line: which event, what was expected, what came. */
  readonly line: string;
}

/** What was committed compared with what was received. */
export interface Verdict {
  /** Events that were committed. */
  readonly expected: number;
  /** Committed events that were received at least once. */
  readonly delivered: number;
  /** Committed events that never came. */
  readonly lost: number;
  /** Event ids that came and were never committed. */
  readonly phantom: number;
  /** Events whose first arrival came after the first arrival of a later event of the same tenant and key. */
  readonly reordered: number;
  /** Arrivals whose bytes, type, key, tenant or message id are not the event's. */
  readonly corrupted: number;
  /** Requests whose signature did not hold. */
  readonly badSignatures: number;
  /** Arrivals beyond the first of each event id: no fault in itself, delivery is at least once. */
  readonly duplicates: number;
  /** As many of them as came to a place where each event may be only once. */
  readonly repeated: number;
  /** The first ten differences. */
  readonly differences: readonly Difference[];
}

/** How many differences are named. */
const namedDifferences = 10;

/** Whether what was committed is exactly what was received. Duplicates are no fault where they may be. */
export function isExact(verdict: Verdict): boolean {
  const { lost, phantom, reordered, corrupted, badSignatures, repeated } = verdict;
  const faults = lost + phantom + reordered + corrupted + badSignatures + repeated;
  return faults === 0 && verdict.delivered === verdict.expected;
}

/**
 * Compares what the producing transactions recorded with what the receiving side wrote down.
 *
 * @param expected every committed event, in any order
 */
export function judge(expected: readonly ExpectedEvent[], arrivals: Arrivals): Verdict {
  const committed = new Map(expected.map((event) => [event.eventId, event]));
  const differences: Difference[] = [];
  const counts = { lost: 0, phantom: 0, reordered: 0, corrupted: 0, badSignature: 0, repeated: 0 };
  const found = (kind: DifferenceKind, eventId: string, line: () => string): void => {
    counts[kind] += 1;
    if (differences.length < namedDifferences) differences.push({ kind, eventId, line: line() });
  };
  const firstMessageIds = new Map<string, string>();
  const latest = new Map<string, ExpectedEvent>();
  for (const arrival of arrivals.received) {
    const { eventId } = arrival;
    const event = committed.get(eventId);
    const messageId = firstMessageIds.get(eventId);
    if (messageId === undefined) firstMessageIds.set(eventId, arrival.messageId);
    else if (arrivals.once === true) found('repeated', eventId, () => `${placeOf(arrival)}: is there again`);
    if (event === undefined) {
      if (messageId === undefined)
        found('phantom', eventId, () => `${placeOf(arrival)}: came, but was never committed`);
      continue;
    }
    const wrong = mismatch(event, arrival, messageId);
    if (wrong !== undefined) found('corrupted', eventId, () => `${name(event)}: ${wrong}`);
    if (messageId !== undefined) continue;
    const order = JSON.stringify([event.tenant, event.entityKey]);
    const before = latest.get(order);
    if (before === undefined || before.ordinal < event.ordinal) latest.set(order, event);
    else found('reordered', eventId, () => `${name(event)}: came after ${name(before)}`);
  }
  for (const event of expected) {
    if (!firstMessageIds.has(event.eventId)) found('lost', event.eventId, () => `${name(event)}: never came`);
  }
  for (const refused of arrivals.refusedSignatures) {
    const who = refused.eventId === '' ? 'a request without ce-id' : refused.eventId;
    found('badSignature', refused.eventId, () => `${who} at ${refused.path}: ${refused.reason}`);
  }
  return {
    expected: expected.length,
    delivered: expected.length - counts.lost,
    lost: counts.lost,
    phantom: counts.phantom,
    reordered: counts.reordered,
    corrupted: counts.corrupted,
    badSignatures: counts.badSignature,
    duplicates: arrivals.received.length - firstMessageIds.size,
    repeated: counts.repeated,
    differences,
  };
}

/** What of an arrival is not as committed; undefined when all of it is. */
function mismatch(
  event: ExpectedEvent,
  arrival: ReceivedEvent,
  messageId: string | undefined,
): string | undefined {
  const pairs: ReadonlyArray<readonly [what: string, wanted: string, came: string]> = [
    ['sha256 of the body', event.sha256, arrival.sha256],
    ['tenant', event.tenant, arrival.tenant],
    ['entity key', event.entityKey, arrival.entityKey],
    ['type', event.eventType, arrival.eventType],
    ['message id of its first arrival', messageId ?? arrival.messageId, arrival.messageId],
  ];
  const wrong = pairs.find(([, wanted, came]) => wanted !== came);
  return wrong === undefined ? undefined : `${wrong[0]} is ${wrong[1]}, but ${wrong[2]} came`;
}

function name(event: ExpectedEvent): string {
  return `${event.eventId} (${event.eventType}, ${event.tenant} ${event.entityKey} no. ${event.ordinal})`;
}

function placeOf({ eventId, eventType, tenant, entityKey }: ReceivedEvent): string {
  return `${eventId} (${eventType}, ${tenant} ${entityKey})`;
}
