import type { AttemptObservation } from './delivery-observation.ts';
import type { Settlement } from './delivery-queue.ts';
import type { AttemptOutcome } from './http-attempt.ts';
import { type RetryScheduleOptions, retryDelay } from './retry-schedule.ts';
import type { HeldDelivery, Tenure } from './tenure.ts';

/** What became of a held delivery, waiting to be stored. */
export type DeliveryOutcome =
  | {
      readonly type: 'delivered' | 'retrying' | 'dead';
      readonly held: HeldDelivery;
      readonly tenure: Tenure;
      readonly attempt: AttemptOutcome;
      readonly retryInMs: number | null;
    }
  | { readonly type: 'released'; readonly held: HeldDelivery; readonly tenure: Tenure };

/** Failures that no repetition can mend. */
const hopeless: ReadonlySet<string> = new Set(['ER4008', 'ER4009']);

/** Judges an attempt: delivered, to be tried again, or dead. */
export function judge(
  done: { readonly held: HeldDelivery; readonly tenure: Tenure; readonly attempt: AttemptOutcome },
  schedule: RetryScheduleOptions,
): DeliveryOutcome {
  const { error, retryAfterMs } = done.attempt;
  if (error === null) return { ...done, type: 'delivered', retryInMs: null };
  const attempt = done.held.claimed.attempts + 1;
  const retryInMs = hopeless.has(error.code) ? null : retryDelay({ attempt, retryAfterMs }, schedule);
  return { ...done, type: retryInMs === null ? 'dead' : 'retrying', retryInMs };
}

/** The outcome as the queue stores it. */
export function settlementOf(outcome: DeliveryOutcome): Settlement {
  const delivery = outcome.held.claimed;
  if (outcome.type === 'released') return { delivery, outcome: 'released' };
  const { attempt } = outcome;
  return {
    delivery,
    outcome: outcome.type,
    retryInMs: outcome.retryInMs ?? 0,
    status: attempt.status,
    errorCode: attempt.error?.code ?? null,
    reason: attempt.error?.message ?? null,
    responseExcerpt: attempt.responseExcerpt,
    durationMs: attempt.answeredAt - attempt.sentAt,
    ageMs: Math.max(0, performance.timeOrigin + performance.now() - attempt.sentAt),
  };
}

/** The outcome as it is told; null for a release, which is no attempt. */
export function observationOf(outcome: DeliveryOutcome): AttemptObservation | null {
  if (outcome.type === 'released') return null;
  const { claimed, claimedAt } = outcome.held;
  const { event } = claimed;
  const { attempt } = outcome;
  return {
    type: outcome.type,
    tenantId: claimed.tenantId,
    endpointId: claimed.endpointId,
    origin: URL.canParse(claimed.url) ? new URL(claimed.url).origin : 'invalid',
    eventId: claimed.eventId,
    eventType: event?.eventType ?? null,
    entityKey: event?.entityKey ?? null,
    seq: event?.seq ?? null,
    attempt: claimed.attempts + 1,
    status: attempt.status,
    errorCode: attempt.error?.code ?? null,
    retryInMs: outcome.retryInMs,
    recordedAt: event?.recordedAt ?? null,
    claimedAt,
    sentAt: attempt.sentAt,
    answeredAt: attempt.answeredAt,
  };
}
