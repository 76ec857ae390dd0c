/** What the status timer has seen so far. All times in milliseconds of one monotonic clock. */
export interface StatusSituation {
  readonly now: number;
  /** When a status was last sent. */
  readonly sentAt: number;
  /** When bytes were last read; also when reading was taken up again after a pause. */
  readonly readAt: number;
  /** Whether we do not read because the consumer lags: silence then says nothing about the server. */
  readonly paused: boolean;
  /** Statuses sent with a demand for an answer since something was last read. */
  readonly asked: number;
  /** From {@link statusInterval}. */
  readonly intervalMs: number;
  /** `wal_sender_timeout` of this connection; 0: none. */
  readonly timeoutMs: number;
}

/** `ask`: send a status that the server must answer. `dead`: the server is gone. */
export type StatusDecision = 'wait' | 'send' | 'ask' | 'dead';

/**
 * So many demands must have gone unanswered before the server is taken for dead. More than one, because
 * after our own process stood still the timer comes before the socket: the answers may lie unread.
 */
const patience = 3;

/** How often a status is sent: as wished, but at 40 % of the server's patience at the latest. */
export function statusInterval(wishedMs: number, timeoutMs: number): number {
  return timeoutMs === 0 ? wishedMs : Math.max(1, Math.min(wishedMs, Math.floor(timeoutMs * 0.4)));
}

/** What to do at a tick of the timer. Sending does not depend on whether anything is read or consumed. */
export function decideStatus(situation: StatusSituation): StatusDecision {
  const { now, timeoutMs } = situation;
  const silence = now - situation.readAt;
  const telling = !situation.paused && timeoutMs > 0;
  if (telling && silence >= timeoutMs && situation.asked >= patience) return 'dead';
  if (now - situation.sentAt < situation.intervalMs) return 'wait';
  return telling && silence * 2 >= timeoutMs ? 'ask' : 'send';
}
