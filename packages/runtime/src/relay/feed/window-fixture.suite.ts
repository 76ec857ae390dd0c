import type { LoggedEvent, Position } from '../../log/outbox-event.ts';
import { Snapshot } from '../../log/snapshot.ts';
import type { Ticket } from '../../replication/acker.ts';
import { loggedEvent, SimulatedLog, SimulatedReader } from './event-fixture.suite.ts';
import { bytesOf } from './in-hand.ts';
import { type Place, Window } from './window.ts';

/** What each of the small events here takes. */
export const size: number = bytesOf(loggedEvent(1));

/** A window on a simulated log. */
export interface OpenedWindow {
  readonly log: SimulatedLog;
  readonly window: Window;
  /** Takes over what is in the WAL; at most so many events. */
  readonly feed: (most?: number) => Ticket[];
}

/** What a process finds that begins anew: the log, and a slot that sends it from this transaction on. */
export interface Reopened {
  readonly log: SimulatedLog;
  readonly from: number;
  readonly barrier: Snapshot;
}

/** @param limit how many small events it may hold */
export function openWindow(limit = 1_000, reopened?: Reopened): OpenedWindow {
  const { log, from, barrier } = reopened ?? { log: new SimulatedLog(), from: 0, barrier: Snapshot.nothing };
  const reader = new SimulatedReader(log, from);
  const window = new Window(limit * size);
  window.start(barrier);
  const feed = (most = 1_000): Ticket[] => {
    const batch = reader.read(most);
    return window.push(batch, reader.readTo);
  };
  return { log, window, feed };
}

/** A sink takes and delivers so many, or all that there is. */
export function deliver(window: Window, place: Place, most = 1_000): LoggedEvent[] {
  const taken = window.take(place, most).filter((logged) => place.skip?.(logged) !== true);
  place.delivered = place.taken;
  window.moved();
  return taken;
}

/** Its checkpoint is stored. */
export function store(place: Place, position: Position | undefined): void {
  if (position !== undefined) place.durable = position;
}
