import type { AttemptObservation, LoggedEvent } from '@event-runtime/runtime';
import type { Terminal } from '../cli/terminal.ts';
import { visibleText } from '../cli/visible-text.ts';

/** One attempt at one event, with how long each part of its way took; milliseconds, null where it is not known. */
export interface Journey {
  readonly type: AttemptObservation['type'];
  readonly eventId: string;
  readonly eventType: string;
  readonly tenant: string;
  readonly entityKey: string | null;
  readonly attempt: number;
  readonly status: number | null;
  readonly errorCode: string | null;
  readonly retryInMs: number | null;
  /** From the commit, by the database's clock, to its coming out of the log here. */
  readonly captureMs: number | null;
  /** From there to the request's start: fan-out, the queue, earlier events of the entity. */
  readonly queueMs: number | null;
  /** From the request's start to its answer. */
  readonly deliverMs: number;
  readonly totalMs: number | null;
}

/** So many events are remembered between capture and delivery. */
const remembered = 10_000;

/** Puts together what the log reader and the deliverer each know of an event. */
export class Journeys {
  readonly #captured = new Map<string, { readonly committedAt: number; readonly capturedAt: number }>();

  captured(logged: LoggedEvent): void {
    this.#captured.set(logged.event.eventId, {
      committedAt: logged.committedAt,
      capturedAt: logged.capturedAt,
    });
    if (this.#captured.size <= remembered) return;
    const [oldest] = this.#captured.keys();
    if (oldest !== undefined) this.#captured.delete(oldest);
  }

  attempted(observation: AttemptObservation): Journey {
    const { eventId, sentAt, answeredAt } = observation;
    const seen = this.#captured.get(eventId);
    if (observation.type !== 'retrying') this.#captured.delete(eventId);
    return {
      type: observation.type,
      eventId,
      eventType: observation.eventType ?? '?',
      tenant: observation.tenantId,
      entityKey: observation.entityKey,
      attempt: observation.attempt,
      status: observation.status,
      errorCode: observation.errorCode,
      retryInMs: observation.retryInMs,
      captureMs: seen === undefined ? null : tenths(seen.capturedAt - seen.committedAt),
      queueMs: seen === undefined ? null : tenths(sentAt - seen.capturedAt),
      deliverMs: tenths(answeredAt - sentAt),
      totalMs: seen === undefined ? null : tenths(answeredAt - seen.committedAt),
    };
  }
}

/** The line that a person reads. */
export function journeyLine(journey: Journey, terminal: Pick<Terminal, 'colors'>): string {
  const { colors } = terminal;
  const time = colors.dim(new Date().toISOString().slice(11, 23));
  const what = `${visibleText(journey.eventType).padEnd(24)} ${colors.dim(journey.eventId)}  ${visibleText(journey.tenant)}`;
  const key = journey.entityKey === null ? '' : `  key=${visibleText(journey.entityKey)}`;
  const answer = String(journey.status ?? journey.errorCode ?? '');
  const wait = ((journey.retryInMs ?? 0) / 1_000).toFixed(1);
  const ends = {
    delivered: { mark: colors.green('✓'), end: phases(journey) },
    retrying: { mark: colors.yellow('✗'), end: `attempt ${journey.attempt}, again in ${wait} s` },
    dead: { mark: colors.red('✗'), end: `dead letter after ${journey.attempt} attempts` },
  };
  const { mark, end } = ends[journey.type];
  return `  ${time}  ${mark} ${what}${key}  ${answer}  ${end}`;
}

function phases(journey: Journey): string {
  if (journey.totalMs === null) return `deliver ${journey.deliverMs} ms`;
  return (
    `${journey.totalMs} ms ` +
    `(commit → capture ${journey.captureMs}, → send ${journey.queueMs}, → answer ${journey.deliverMs})`
  );
}

function tenths(milliseconds: number): number {
  return Math.max(0, Math.round(milliseconds * 10) / 10);
}
