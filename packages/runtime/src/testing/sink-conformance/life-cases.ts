import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Sink } from '../../sinks/sink.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import type { Answer } from './handover.ts';
import type { SinkCase, SinkConformanceOptions } from './sink-site.ts';

/** How far into a batch something happens, in turns of the event loop; or when the first of it has come. */
const moments = [0, 1, 5, 50, 'first'] as const;

/** Aborted, disposed, without the lease. */
export function lifeCases(options: SinkConformanceOptions): SinkCase[] {
  const cases = [
    sinkCase(options, 'aborted before it begins, a batch is not begun', abortedBefore),
    sinkCase(
      options,
      'aborted in the middle, it settles, what it says is true, and nothing more comes',
      abortedWithin,
    ),
    sinkCase(options, 'disposed in the middle of a batch, both settle; twice is as once', disposedWithin),
  ];
  if (options.without?.includes('lease') !== true) {
    cases.push(
      sinkCase(options, 'without the lease nothing is written', withoutLease),
      sinkCase(options, 'the lease is lost in the middle: nothing more is written', leaseLostWithin),
    );
  }
  return cases;
}

async function abortedBefore(run: CaseRun): Promise<void> {
  const events = run.make.many(10, { entities: 2 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const signal = AbortSignal.abort(new Error('let go'));
  await expectNothing(run, await run.deliver(sink, events, { signal }));
  // It goes on all the same.
  await run.handOver(sink, events);
  await run.expectReceived(events);
}

async function abortedWithin(run: CaseRun): Promise<void> {
  await atEachMoment(run, async (events, { sink, moment }) => {
    const stop = new AbortController();
    const delivering = run.deliver(sink, events, { signal: stop.signal });
    await reach(run, { moment, delivering });
    stop.abort(new Error('let go'));
    await expectTrue(run, events, await delivering);
    await run.expectNoMore(await run.countAfterFlight(), 'an aborted batch had settled');
  });
}

async function disposedWithin(run: CaseRun): Promise<void> {
  const events = run.make.many(1_000, { entities: 10 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const { signal } = new AbortController();
  const delivering = run.deliver(sink, events, { signal });
  delivering.catch(() => undefined);
  await run.end(sink);
  await expectTrue(run, events, await delivering);
  await run.expectNoMore(await run.countAfterFlight(), 'the sink was disposed');
  await run.end(sink);
  await run.handOver(await run.open(), events, 1_000);
  await run.expectReceived(events);
}

async function withoutLease(run: CaseRun): Promise<void> {
  const events = run.make.many(10, { entities: 2 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const { signal } = new AbortController();
  await expectNothing(run, await run.deliver(sink, events, { signal, valid: () => false }));
  await run.handOver(sink, events);
  await run.expectReceived(events);
}

async function leaseLostWithin(run: CaseRun): Promise<void> {
  await atEachMoment(run, async (events, { sink, moment }) => {
    const { signal } = new AbortController();
    let leased = true;
    const delivering = run.deliver(sink, events, { signal, valid: () => leased });
    await reach(run, { moment, delivering });
    leased = false;
    // What it had sent may still come: that cannot be called back.
    const sent = await run.countAfterFlight();
    await expectTrue(run, events, await delivering);
    await run.expectNoMore(sent, 'the lease was lost');
  });
}

/** A batch for each moment, of entities of its own; then all of them come. */
async function atEachMoment(
  run: CaseRun,
  disturb: (
    events: readonly LoggedEvent[],
    at: { readonly sink: Sink; readonly moment: (typeof moments)[number] },
  ) => Promise<void>,
): Promise<void> {
  const batches = moments.map((moment) => ({
    moment,
    events: run.make.many(500, { entities: 5, name: `${moment}` }),
  }));
  const all = batches.flatMap(({ events }) => events);
  await run.site.prepare?.(all);
  const sink = await run.open();
  for (const { moment, events } of batches) await disturb(events, { sink, moment });
  await run.handOver(sink, all, 1_000);
  await run.expectReceived(all);
}

async function reach(
  run: CaseRun,
  {
    moment,
    delivering,
  }: { readonly moment: (typeof moments)[number]; readonly delivering: Promise<unknown> },
): Promise<void> {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  delivering.then(settle, settle);
  if (moment === 'first') {
    const before = (await run.received()).length;
    while (!state.settled && (await run.received()).length === before) await nextTurn();
  } else for (let turn = 0; turn < moment; turn += 1) await nextTurn();
}

/** It rejects, or asks for all of it again; nothing has come to the destination. */
async function expectNothing(run: CaseRun, { results = [] }: Answer): Promise<void> {
  for (const { type } of results) assert.equal(type, 'retry');
  assert.equal(await run.countAfterFlight(), 0, 'events at the destination');
}

/** What the sink said to be delivered is at the destination. */
async function expectTrue(
  run: CaseRun,
  events: readonly LoggedEvent[],
  { results = [] }: Answer,
): Promise<void> {
  if (run.site.received === undefined) return;
  const there = new Set((await run.received()).map(({ attributes }) => attributes['id']));
  const untrue = events.filter(
    ({ event }, index) => results[index]?.type === 'delivered' && !there.has(event.eventId),
  );
  assert.equal(untrue.length, 0, `${untrue.length} events are said to be delivered, and are not`);
}
