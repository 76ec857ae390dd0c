/** What one event may be given besides its data. */
export interface EventOptions {
  /** Whose event it is. Left out: the tenant of the transaction, `event_runtime.tenant`. */
  readonly tenant?: string;
  /** For example `ofb` or `opin`. */
  readonly ecosystem?: string;
  /**
   * At most one event per (tenant, key) within 30 days: a second emit succeeds with the first one's id
   * and `duplicate: true`. A business id of your own is a good key.
   */
  readonly idempotencyKey?: string;
  /** What a chain of events has in common, for example a request's id. */
  readonly correlationId?: string;
  /** The id of the event that caused this one. */
  readonly causationId?: string;
  /** Flat headers that travel with the event; names are 1 to 20 lower-case letters and digits. */
  readonly headers?: Readonly<Record<string, string>>;
  /** W3C trace context. Left out: the active OpenTelemetry span's, where there is one; null: none. */
  readonly traceparent?: string | null;
}

/** What holds for a whole call of `emit` or `emitMany`. */
export interface CallOptions {
  /**
   * `entity` takes a lock on (tenant, key) until the transaction ends, before the event gets its place in
   * the order: for writers that do not lock the entity's own row before they emit.
   */
  readonly lock?: 'entity';
  /** Aborted before the statement is sent: nothing is sent. What was sent is not called back. */
  readonly signal?: AbortSignal;
}

export interface EmitOptions extends EventOptions, CallOptions {}

/** What all events of an `emitMany` may share: all but the idempotency key, which is one event's. */
export type EmitManyOptions = Omit<EmitOptions, 'idempotencyKey'>;

/** What `emit` answers. */
export interface EmitResult {
  /** The event's id, a UUID; for a duplicate, the id of the first event. */
  readonly eventId: string;
  /** Whether the idempotency key had been used: then nothing was written. */
  readonly duplicate: boolean;
}
