import type { Signals } from './dispatcher.ts';
import type { FeedState } from './feed.ts';
import type { Place } from './window.ts';

/** How many events are taken out of the window at a time. */
const takeEvents = 1_000;

/** Feeds a sink from the window, until it leaves it, is paused, or is stopped. */
export async function readLive(state: FeedState, signals: Signals): Promise<void> {
  const { place } = state;
  if (place === undefined) return;
  while (!signals.stopping.aborted && !state.paused && state.place === place) {
    take(state, place);
    const outcome = await state.step(signals);
    if (state.place !== place || outcome === 'given-up') return;
    const moved = advance(state, place);
    if (moved) {
      state.window.moved();
      state.dirty = true;
    }
    if (outcome === 'done') continue;
    await state.save();
    if (place.taken < state.window.end && state.progress.inHand.bytes < state.inHandBytes) continue;
    await state.dispatcher.wait(state.progress.inHand, {
      ms: state.checkpointMs,
      stopping: signals.stopping,
    });
  }
}

function take(state: FeedState, place: Place): void {
  const { window, progress, inHandBytes } = state;
  const { inHand } = progress;
  while (place.taken < window.end && inHand.bytes < inHandBytes) {
    const first = place.taken;
    const events = window.take(place, takeEvents);
    // More may be read meanwhile.
    window.moved();
    for (const [index, logged] of events.entries()) {
      if (place.skip?.(logged) !== true) inHand.offer(logged, first + index);
    }
    if (inHand.bytes > 0) return;
  }
}

/** Tells the window and the progress how far the sink has got. @returns whether it moved on */
function advance(state: FeedState, place: Place): boolean {
  const { window, progress } = state;
  const { firstOpen } = progress.inHand;
  const before = place.delivered;
  if (firstOpen === undefined) {
    place.delivered = place.taken;
    // Nothing is on its way to the sink: it has everything before the event that it would take next.
    const next = window.positionAt(place.taken);
    progress.cover(next?.lsn ?? window.readTo, next ?? { lsn: window.readTo, ordinal: 0 });
  } else if (firstOpen.logged.position !== null) {
    place.delivered = firstOpen.place;
    progress.cover(firstOpen.logged.position.lsn, null);
  }
  return place.delivered > before;
}
