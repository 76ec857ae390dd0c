import type { Checkpoint } from '../../log/checkpoint.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Moment, TablePage } from '../../log/table-reader.ts';
import type { Signals } from './dispatcher.ts';
import type { FeedState } from './feed.ts';

/** How many events one batch of the table should have, where ticks allow it. */
const batchEvents = 10_000;

/** A sink whose batch was smaller is about to have everything; or took less time, where it can join the window. */
const nearEvents = 1_000;
const nearMs = 200;

/** How long a sink that has everything waits when it cannot join the window yet. Milliseconds. */
const joinRetryMs = 20;

/** So many transactions without an event for the sink move its checkpoint: not each one, for that write is one, too. */
const idleTransactions = 10_000n;

/** The longest wait of a sink that finds nothing, as a multiple of `pollMs`. */
const idleFactor = 10;

/**
 * Feeds a sink from the table, batch after batch, until it has joined the window or is stopped. Also returns when what
 * is in hand must be read again.
 */
export async function readTable(state: FeedState, signals: Signals): Promise<void> {
  try {
    await readBatches(state, signals);
  } catch (error) {
    // A stop that cuts a look at the table short is no failure: what is delivered is still to be stored.
    const stopped = signals.stopping.aborted && !signals.aborted.aborted;
    if (!stopped || error !== signals.stopping.reason) throw error;
  }
}

async function readBatches(state: FeedState, signals: Signals): Promise<void> {
  const { progress } = state;
  let from = progress.checkpoint;
  if (from.adoption !== null) {
    const after = await adopt(state, from, signals);
    if (after === undefined) return;
    from = after;
  }
  let stored = from.snapshot;
  for (let near = false, empty = 0; !signals.stopping.aborted && !state.rewinding; ) {
    if (state.paused) {
      await state.save({ now: true });
      await state.dispatcher.wait(progress.inHand, { stopping: signals.stopping });
      continue;
    }
    const began = performance.now();
    // From here on the window keeps what comes: what the batch does not see is found there.
    const pinned = state.window.open && near && !waits(state);
    if (pinned) state.window.pin();
    try {
      const to = await end(state, from, signals);
      const read = await readBatch(state, { from, to, signals });
      if (read === undefined) return;
      const { events } = read;
      // Of what is not durable the ids may be used again after a crash: nothing is past before it is. Nothing is written
      // for it while nothing happens, but to join.
      if (!read.durable && pinned) await state.reader.ensureFlushed(to, { signal: signals.stopping });
      const durable = read.durable || pinned;
      if (durable) {
        from = { ...from, snapshot: to.snapshot, batch: null };
        progress.mark(from);
      }
      // failpoint: table.batch.end
      if (events > 0 || (durable && to.snapshot.xmax - stored.xmax >= idleTransactions)) {
        stored = to.snapshot;
        state.dirty = true;
      }
      await state.save();
      const soon = performance.now() - began < nearMs;
      near = events < nearEvents || (soon && state.window.open && !waits(state));
      empty = events === 0 ? empty + 1 : 0;
      if (pinned && near && !waits(state) && join(state, to)) return;
      if (!near || !to.latest || (state.window.open && !pinned && !waits(state))) continue;
    } finally {
      if (pinned) state.window.unpin();
    }
    const joins = state.window.open && !waits(state);
    const pause = state.pollMs * Math.min(Math.max(empty, 1), idleFactor);
    // The look itself is part of the interval.
    const ms = joins ? joinRetryMs : Math.max(1, pause - (performance.now() - began));
    await state.dispatcher.wait(progress.inHand, { ms, stopping: signals.stopping });
    if ((await drain(state, { signals, above: Number.POSITIVE_INFINITY })) === 'given-up') return;
  }
}

/**
 * Whether an entity waits for its repetition. The sink then stays with the table: in the window it would hold back the
 * WAL, and leave again, and all that it was given behind that entity would be given to it once more.
 */
function waits({ progress }: FeedState): boolean {
  return progress.inHand.firstOpen !== undefined;
}

/** Where the next batch ends: where it ended before it was interrupted, at a tick, or now. */
async function end(state: FeedState, from: Checkpoint, { stopping }: Signals): Promise<Moment> {
  if (from.batch === null) {
    return await state.reader.batchEnd(from.snapshot, { maxEvents: batchEvents, signal: stopping });
  }
  const now = await state.reader.moment({ signal: stopping });
  return { ...now, snapshot: from.batch.to, latest: false };
}

/**
 * @returns how many events the batch had, and whether the log is durable up to its end: always, if there were any;
 *   undefined: given up
 */
async function readBatch(
  state: FeedState,
  batch: { readonly from: Checkpoint; readonly to: Moment; readonly signals: Signals },
): Promise<{ readonly events: number; readonly durable: boolean } | undefined> {
  const { from, to, signals } = batch;
  const signal = signals.stopping;
  // Beside the first page; false means: not yet.
  const flushed = to.flushed ? undefined : state.reader.isFlushed(to, { signal });
  flushed?.catch(() => undefined);
  const pages = state.reader.read(
    {
      from: from.snapshot,
      to: to.snapshot,
      afterSeq: from.batch?.afterSeq ?? 0n,
      floorSeq: from.floorSeq,
    },
    { signal },
  );
  let events = 0;
  for await (const page of pages) {
    // What is visible is durable only when the log is flushed up to there: otherwise a crash may undo it.
    if (events === 0 && (await flushed) === false) await state.reader.ensureFlushed(to, { signal });
    events += page.events.length;
    offer(state, page);
    state.progress.mark({ ...from, batch: { to: to.snapshot, afterSeq: page.lastSeq } });
    // failpoint: table.page
    if ((await drain(state, { signals, above: state.inHandBytes })) === 'given-up') return undefined;
  }
  if ((await drain(state, { signals, above: Number.POSITIVE_INFINITY })) === 'given-up') return undefined;
  return { events, durable: events > 0 || (await flushed) !== false };
}

/** Reads what came from another cluster. @returns from where to go on; undefined: given up */
async function adopt(state: FeedState, from: Checkpoint, signals: Signals): Promise<Checkpoint | undefined> {
  const { adoption, floorSeq } = from;
  if (adoption === null) return from;
  while (state.paused && !state.rewinding && !signals.stopping.aborted) {
    await state.save({ now: true });
    await state.dispatcher.wait(state.progress.inHand, { stopping: signals.stopping });
  }
  const now = await state.reader.moment({ signal: signals.stopping });
  await state.reader.ensureFlushed(now, { signal: signals.stopping });
  for await (const page of state.reader.readAdopted(
    { ...adoption, floorSeq },
    { signal: signals.stopping },
  )) {
    offer(state, page);
    state.progress.mark({ ...from, adoption: { ...adoption, afterSeq: page.lastSeq } });
    if ((await drain(state, { signals, above: state.inHandBytes })) === 'given-up') return undefined;
  }
  const after = { ...from, adoption: null };
  state.progress.mark(after);
  state.logger.info('relay.sink.adopted', { sink: state.sink.name, floorSeq: floorSeq.toString() });
  return after;
}

function offer(state: FeedState, page: TablePage): void {
  for (const logged of page.events) {
    if (!deliveredBefore(state, logged)) state.progress.inHand.offer(logged, -1);
  }
}

function deliveredBefore(state: FeedState, { txId, event }: LoggedEvent): boolean {
  if (state.delivered.size === 0) return false;
  const lastSeq = state.delivered.get(txId);
  return lastSeq !== undefined && event.seq <= lastSeq;
}

/**
 * Hands over what can be handed over now, and waits while more than `above` bytes are in hand: events that wait for
 * their repetition do not hold back others, as long as there is room.
 */
async function drain(
  state: FeedState,
  { signals, above }: { readonly signals: Signals; readonly above: number },
): Promise<'done' | 'given-up'> {
  const { inHand } = state.progress;
  for (;;) {
    const outcome = await state.step(signals);
    if (outcome === 'given-up' || signals.stopping.aborted) return 'given-up';
    if (outcome === 'done') continue;
    if (state.paused) return 'given-up';
    if (inHand.bytes <= above) return 'done';
    await state.dispatcher.wait(inHand, { stopping: signals.stopping });
  }
}

/** From here on the sink is fed from the window, if that has everything that the snapshot does not see. */
function join(state: FeedState, to: Moment): boolean {
  const { window, progress } = state;
  // Asked for while the batch was read: it would be in the window without having gone back.
  if (state.rewinding || !window.canJoin(to.snapshot)) return false;
  const place = window.join();
  // failpoint: seam.join
  // A transaction that the snapshot sees has its commit record before the LSN that was read after it.
  const { delivered } = state;
  place.skip = (logged) =>
    (logged.position !== null && logged.position.lsn < to.lsn && to.snapshot.sees(logged.txId)) ||
    logged.event.seq <= (delivered.get(logged.txId) ?? 0n);
  progress.goLive({ snapshot: to.snapshot, lsn: to.lsn }, delivered);
  state.place = place;
  // Until it is stored that the sink is live, the server keeps everything for it.
  state.dirty = true;
  state.logger.info('relay.sink.joined', { sink: state.sink.name });
  return true;
}
