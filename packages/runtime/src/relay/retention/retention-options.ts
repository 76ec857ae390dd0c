import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Logger } from '../../telemetry/logger.ts';

/** A partition that is about to be dropped. */
export interface ExpiredPartition {
  /** `outbox`. */
  readonly table: string;
  /** `outbox_20261121`; the same each time it is offered. */
  readonly name: string;
  /** What it holds was recorded in [from, to). Null: it has no beginning. */
  readonly from: Date | null;
  readonly to: Date;
  /** How many events it holds. */
  readonly events: number;
}

/**
 * Keeps a partition elsewhere before it is dropped. When it returns, the copy is durable; when it throws, the
 * partition stays and is offered again at the next round. Offered again also after a crash: at least once.
 *
 * @param events all of them, in the order of `seq`, read in pages as they are asked for; payloads byte for byte
 */
export type Archive = (
  partition: ExpiredPartition,
  events: AsyncIterable<LoggedEvent>,
  options: { readonly signal: AbortSignal },
) => Promise<void>;

export interface RetentionOptions {
  /** A direct connection string of a role that may SET ROLE to `event_runtime_owner`. */
  readonly connectionString: string;
  readonly logger?: Logger;
  /** Milliseconds between two rounds. Default one hour; a minute after a round that failed. */
  readonly intervalMs?: number;
  /** Days that events stay in the outbox, at least. Default 30. */
  readonly outboxDays?: number;
  /** Days after which events go although a sink has not read them. Default 90, or `outboxDays` if that is more. */
  readonly maxDays?: number;
  /** Days that attempts at deliveries are kept. Default 30. */
  readonly attemptDays?: number;
  /** Days that the inbox knows an event, at least; as long as the event is in the outbox in any case. Default 30. */
  readonly inboxDays?: number;
  /** Days that ticks are kept, at least; as long as there are events of their time in any case. Default 30. */
  readonly tickDays?: number;
  /** Days that a replay is kept after it is done or cancelled. Default 365. */
  readonly replayDays?: number;
  readonly archive?: Archive;
}

/** With every default in its place; ages in milliseconds. */
export interface RetentionPlan {
  readonly outboxMs: number;
  readonly maxMs: number;
  readonly attemptMs: number;
  readonly inboxMs: number;
  readonly tickMs: number;
  readonly replayMs: number;
  readonly archive: Archive | undefined;
}

const dayMs = 86_400_000;

/** @throws RangeError fewer days than one, or a maximum that is less than `outboxDays` */
export function planOf(options: RetentionOptions): RetentionPlan {
  const { outboxDays = 30, attemptDays = 30, inboxDays = 30, tickDays = 30, replayDays = 365 } = options;
  const { archive, maxDays = Math.max(90, outboxDays) } = options;
  if (maxDays < outboxDays) throw new RangeError('maxDays must not be less than outboxDays');
  return {
    outboxMs: days('outboxDays', outboxDays),
    maxMs: days('maxDays', maxDays),
    attemptMs: days('attemptDays', attemptDays),
    inboxMs: days('inboxDays', inboxDays),
    tickMs: days('tickDays', tickDays),
    replayMs: days('replayDays', replayDays),
    archive,
  };
}

function days(name: string, value: number): number {
  if (!(value >= 1)) throw new RangeError(`${name} must be at least 1`);
  return value * dayMs;
}
