/** One attempt whose outcome is stored. Times are milliseconds since 1970 with a fraction. */
export interface AttemptObservation {
  /** `dead`: the last attempt failed and the event is in `dead_letter`. */
  readonly type: 'delivered' | 'retrying' | 'dead';
  readonly tenantId: string;
  readonly endpointId: string;
  /** Scheme, host and port of the endpoint; the rest of a URL may be secret. */
  readonly origin: string;
  readonly eventId: string;
  readonly eventType: string | null;
  readonly entityKey: string | null;
  readonly seq: bigint | null;
  /** The first attempt is 1. */
  readonly attempt: number;
  readonly status: number | null;
  /** The code of the failure; null when delivered. */
  readonly errorCode: string | null;
  /** For `retrying`: until the next attempt. */
  readonly retryInMs: number | null;
  /** PostgreSQL's text of the time that the event was written, by the database's clock. */
  readonly recordedAt: string | null;
  readonly claimedAt: number;
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** A round of the deliverer that failed as a whole (the database was away); it is repeated after `delayMs`. */
export interface CycleFailure {
  readonly type: 'cycle-failed';
  readonly error: unknown;
  readonly delayMs: number;
}

/** What a deliverer tells about its work. */
export type DeliveryObservation = AttemptObservation | CycleFailure;
