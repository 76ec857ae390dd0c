import type { Checkpoint } from '../log/checkpoint.ts';
import type { LoggedEvent } from '../log/outbox-event.ts';

/** What a sink can do; the relay and the conformance suite go by it. */
export interface SinkFeatures {
  /** Events of one entity arrive in the order in which they are handed over. */
  readonly order: boolean;
  /** An event that is handed over again within the sink's window is not visible twice. */
  readonly dedupe: boolean;
  /** The sink commits the relay's checkpoint together with its own work, so nothing is handed over twice. */
  readonly ownCheckpoint: boolean;
  /** Largest payload in bytes, where there is a limit. */
  readonly maxPayloadBytes?: number;
}

/** What became of one event. */
export type DeliveryResult =
  | { readonly type: 'delivered' }
  /**
   * Not now: hand it over again, and nothing later of its entity before it. The sink answers `retry` for the
   * later events of the same entity in this batch too. `afterMs`: milliseconds, finite, not negative; anything else
   * is no time, and the event would come again at once. It is the least: what is turned away again and again waits twice
   * as long each time, up to half a minute.
   */
  | { readonly type: 'retry'; readonly afterMs: number; readonly error: Error }
  /** Never: the event itself is the trouble (poison). */
  | { readonly type: 'rejected'; readonly reason: string; readonly error?: Error };

/** An event as it is handed over. */
export interface HandedEvent extends LoggedEvent {
  /** Where in the destination, as a route says, in place of what the sink itself says: for NATS a template of subjects. */
  readonly subject?: string;
}

/**
 * Events in log order, and the checkpoint that is true when all of them are delivered. Behind them may come a few that
 * are handed over again: of one replay (`event.replay`), most often delivered before and to arrive once more; or dead
 * letters that are redriven. A sink with `features.ownCheckpoint` gets those in batches of their own, in which all are of
 * one replay or none is. Without events only for such a sink, which stores the checkpoint also where no event is for it;
 * the answer is `[]`.
 */
export interface SinkBatch {
  readonly events: readonly HandedEvent[];
  /** For a sink that stores its checkpoint with its own work; others leave it alone. */
  readonly checkpoint: Checkpoint;
}

/** What a sink is told beside the batch. */
export interface DeliverOptions {
  /** Aborted: the relay does not wait any more. What is not begun should not be begun. */
  readonly signal: AbortSignal;
  /**
   * Whether the relay still has its lease, by a clock that goes on while the process is stopped. A process that is
   * stopped and continued finds itself in the middle of whatever it did, when another has long taken over: a sink that
   * waits for something before it writes asks right before it writes. Default: it has.
   */
  readonly valid?: () => boolean;
}

/**
 * Where the relay hands events over.
 *
 * `deliver` is called with one batch at a time. It resolves when the outcome of each event is durable on
 * the sink's side, one result for each event in the order of the batch. It rejects when nothing can be
 * said of the batch (the connection is gone): the relay hands the whole batch over again.
 */
export interface Sink extends AsyncDisposable {
  readonly name: string;
  readonly features: SinkFeatures;
  deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]>;
}
