import type { DeliveryObservation } from './delivery-observation.ts';
import type { DeliveryQueue } from './delivery-queue.ts';
import type { EgressGuard } from './egress-guard.ts';
import type { RetryScheduleOptions } from './retry-schedule.ts';
import type { SecretBox } from './secret-box.ts';

export interface DelivererOptions {
  readonly queue: DeliveryQueue;
  readonly secretBox: SecretBox;
  readonly guard: EgressGuard;
  readonly retry?: RetryScheduleOptions;
  /** Told of every attempt once its outcome is stored. What it throws is ignored. */
  readonly observe?: (observation: DeliveryObservation) => void;
  /**
   * Frees all claims at the start, whoever holds them, so that a restart waits for no lease. Only where no
   * second process delivers. Default false.
   */
  readonly takeOver?: boolean;
  /**
   * Whether this process may still deliver, where only one may: asked before each claim and each request, for a process
   * that was stopped and continued finds itself in the middle of them. Default: it may.
   */
  readonly valid?: () => boolean;
  /** Milliseconds that a claim holds without a renewal; renewed every third of it. Default 15,000. */
  readonly leaseMs?: number;
  /** Milliseconds between two looks at the queue when nobody wakes the deliverer. Default 1,000. */
  readonly pollMs?: number;
  /** Milliseconds that outcomes are collected before they are stored together. Default 5. */
  readonly settleMs?: number;
  /** Milliseconds for one request, from the connection to the end of the answer. Default 15,000. */
  readonly requestTimeoutMs?: number;
  /** Bytes of an answer that are read. Default 16,384. */
  readonly maxResponseBytes?: number;
  /**
   * Most requests at once. Default 512: far above what one endpoint may have, so that it takes dozens of endpoints
   * that hang to keep the others waiting.
   */
  readonly inFlight?: number;
  /** Most requests at once to one endpoint. Default 16. */
  readonly inFlightPerEndpoint?: number;
  /** Most deliveries held in memory. Default 4,000; `heldBytes` bounds them too. */
  readonly held?: number;
  /** Most deliveries of one endpoint in one claim; an endpoint that holds as many gets no more. Default 128. */
  readonly heldPerEndpoint?: number;
  /** Payload bytes in memory after which nothing more is claimed. Default 32 MiB. */
  readonly heldBytes?: number;
}

/** The options with their defaults. */
export type DelivererSettings = Required<Omit<DelivererOptions, 'observe' | 'retry'>> &
  Pick<DelivererOptions, 'observe'> & { readonly retry: RetryScheduleOptions };

export function delivererSettings(options: DelivererOptions): DelivererSettings {
  return {
    retry: {},
    takeOver: false,
    valid: () => true,
    leaseMs: 15_000,
    pollMs: 1_000,
    settleMs: 5,
    requestTimeoutMs: 15_000,
    maxResponseBytes: 16_384,
    inFlight: 512,
    inFlightPerEndpoint: 16,
    held: 4_000,
    heldPerEndpoint: 128,
    heldBytes: 32 * 1024 * 1024,
    ...options,
  };
}
