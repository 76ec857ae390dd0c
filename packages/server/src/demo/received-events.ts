/** One request that was verified and accepted, or one message of a stream. */
export interface ReceivedEvent {
  /** `ce-id`. */
  readonly eventId: string;
  /** `webhook-id` or `Nats-Msg-Id`: must stay the same for one event. */
  readonly messageId: string;
  /** The tenant whose endpoint was called, or whom the subject names (not what a header says). */
  readonly tenant: string;
  /** `ce-entitykey`, percent-decoded. */
  readonly entityKey: string;
  /** `ce-type`, percent-decoded. */
  readonly eventType: string;
  /** SHA-256 of the body's bytes, in lower-case hexadecimal. */
  readonly sha256: string;
  /** `performance.now()` when the body was complete, or the stream had stored it. */
  readonly arrivedAt: number;
}

/** A request whose signature did not hold. */
export interface RefusedSignature {
  readonly path: string;
  /** What the request claimed to be; empty without the header. */
  readonly eventId: string;
  readonly reason: string;
}

/** All that came to one place. */
export interface Arrivals {
  /** In the order in which it came. */
  readonly received: readonly ReceivedEvent[];
  readonly refusedSignatures: readonly RefusedSignature[];
  /** Whether an event may be there only once, as in a stream that deduplicates. Default false. */
  readonly once?: boolean;
}
