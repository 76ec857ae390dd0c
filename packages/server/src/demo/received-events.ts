/** One request that was verified and accepted. */
export interface ReceivedEvent {
  /** `ce-id`. */
  readonly eventId: string;
  /** `webhook-id`: must stay the same for one event. */
  readonly messageId: string;
  /** The tenant whose endpoint was called (not what a header says). */
  readonly tenant: string;
  /** `ce-entitykey`, percent-decoded. */
  readonly entityKey: string;
  /** `ce-type`, percent-decoded. */
  readonly eventType: string;
  /** SHA-256 of the body's bytes, in lower-case hexadecimal. */
  readonly sha256: string;
  /** `performance.now()` when the body was complete. */
  readonly arrivedAt: number;
}

/** A request whose signature did not hold. */
export interface RefusedSignature {
  readonly path: string;
  /** What the request claimed to be; empty without the header. */
  readonly eventId: string;
  readonly reason: string;
}
