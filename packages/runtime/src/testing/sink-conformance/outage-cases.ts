import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Sink } from '../../sinks/sink.ts';
import { seededRandom } from '../seeded-random.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import type { Answer } from './handover.ts';
import type { SinkCase, SinkConformanceOptions, SinkSite } from './sink-site.ts';

/** The destination goes away, and comes back. */
export function outageCases(options: SinkConformanceOptions): SinkCase[] {
  const { without = [] } = options;
  if (without.includes('outage')) return [];
  const cases = [
    sinkCase(options, 'while the destination is away nothing is delivered; then it goes on by itself', away),
    sinkCase(options, 'opened while the destination is away: it waits, and goes on by itself', openedAway),
    sinkCase(options, 'aborted while the destination is away, it settles', abortedAway),
    sinkCase(options, 'disposed while the destination is away, it settles', disposedAway),
    sinkCase(
      options,
      'an empty batch while the destination is away settles, and says nothing untrue',
      emptyAway,
    ),
    sinkCase(
      options,
      'the destination goes away again and again under load: nothing lost or reordered',
      flapping,
    ),
  ];
  if (!without.includes('lease')) {
    const name = 'the lease is lost while the destination is away: nothing is written when it is back';
    cases.push(sinkCase(options, name, leaseLostAway));
  }
  if (!without.includes('freeze')) {
    cases.push(
      sinkCase(options, 'a destination that hangs is not waited for without end; then it goes on', hanging),
      sinkCase(options, 'aborted or disposed while the destination hangs, it settles', endedHanging),
    );
  }
  return cases;
}

async function away(run: CaseRun): Promise<void> {
  const events = run.make.many(200, { entities: 5 });
  await run.site.prepare?.(events);
  const outage = outageOf(run);
  const sink = await run.open();
  await run.handOver(sink, events.slice(0, 50));
  await outage.begin();
  let back = false;
  const delivering = run.handOver(sink, events.slice(50)).then(() => assert.ok(back, 'delivered to nowhere'));
  try {
    await Promise.race([sleep(1_000), delivering]);
  } finally {
    back = true;
    await outage.end();
  }
  await delivering;
  await run.expectReceived(events);
}

async function openedAway(run: CaseRun): Promise<void> {
  const events = run.make.many(50, { entities: 5 });
  await run.site.prepare?.(events);
  const outage = outageOf(run);
  await outage.begin();
  let handedOver: Promise<unknown> | undefined;
  try {
    // Also a sink that connects when it is opened must not fail for good.
    const sink = await run.soon('opening the sink', run.open());
    handedOver = run.handOver(sink, events);
    await Promise.race([sleep(500), handedOver]);
  } finally {
    await outage.end();
  }
  await handedOver;
  await run.expectReceived(events);
}

async function abortedAway(run: CaseRun): Promise<void> {
  await whileAway(
    run,
    async (sink, events) => {
      const stop = new AbortController();
      const delivering = run.deliver(sink, events, { signal: stop.signal });
      delivering.catch(() => undefined);
      await sleep(200);
      stop.abort(new Error('let go'));
      expectNowhere(await delivering);
    },
    { hangs: false },
  );
}

async function disposedAway(run: CaseRun): Promise<void> {
  await whileAway(
    run,
    async (sink, events) => {
      const delivering = run.deliver(sink, events, { signal: new AbortController().signal });
      delivering.catch(() => undefined);
      await sleep(50);
      await run.end(sink);
      expectNowhere(await delivering);
    },
    { hangs: false },
  );
}

async function emptyAway(run: CaseRun): Promise<void> {
  await whileAway(
    run,
    async (sink) => {
      const signal = AbortSignal.timeout(200);
      const { results } = await run.deliver(sink, [], { signal });
      const { ownCheckpoint } = run.options.features;
      assert.ok(!ownCheckpoint || results === undefined, 'a checkpoint is said to be stored, and cannot be');
    },
    { hangs: false },
  );
}

async function leaseLostAway(run: CaseRun): Promise<void> {
  const events = run.make.many(50, { entities: 5 });
  await run.site.prepare?.(events);
  const outage = outageOf(run);
  const sink = await run.open();
  await run.handOver(sink, events.slice(0, 10));
  const before = await run.countAfterFlight();
  let leased = true;
  let delivering: Promise<Answer>;
  await outage.begin();
  try {
    const { signal } = new AbortController();
    delivering = run.deliver(sink, events.slice(10), { signal, valid: () => leased });
    delivering.catch(() => undefined);
    await sleep(100);
  } finally {
    leased = false;
    await outage.end();
  }
  expectNowhere(await delivering);
  await run.expectNoMore(before, 'the lease was lost');
  await run.handOver(sink, events.slice(10));
  await run.expectReceived(events);
}

async function hanging(run: CaseRun): Promise<void> {
  await whileAway(
    run,
    async (sink, events) => {
      // The relay waits for the sink, and nothing aborts it.
      const { signal } = new AbortController();
      const answer = await run.deliver(sink, events, { signal });
      expectNowhere(answer);
    },
    { hangs: true },
  );
}

async function endedHanging(run: CaseRun): Promise<void> {
  await whileAway(
    run,
    async (sink, events) => {
      const stop = new AbortController();
      const aborting = run.deliver(sink, events, { signal: stop.signal });
      aborting.catch(() => undefined);
      await sleep(50);
      stop.abort(new Error('let go'));
      expectNowhere(await aborting);
      const disposing = run.deliver(sink, events, { signal: new AbortController().signal });
      disposing.catch(() => undefined);
      await sleep(50);
      await run.end(sink);
      expectNowhere(await disposing);
    },
    { hangs: true },
  );
}

interface Outage {
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** Some events come, then the destination is away while something is done; when it is back, all events come. */
async function whileAway(
  run: CaseRun,
  body: (sink: Sink, events: readonly LoggedEvent[]) => Promise<void>,
  { hangs }: { readonly hangs: boolean },
): Promise<void> {
  const outage = hangs ? hangingOf(run) : outageOf(run);
  const events = run.make.many(50, { entities: 5 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  await run.handOver(sink, events.slice(0, 10));
  const before = await run.countAfterFlight();
  await outage.begin();
  try {
    await body(sink, events.slice(10));
  } finally {
    await outage.end();
  }
  // What was sent to a destination that hangs may still come; to one that was away, nothing was sent.
  if (!hangs) await run.expectNoMore(before, 'the batch was over');
  await run.handOver(run.hasEnded(sink) ? await run.open() : sink, events.slice(10));
  await run.expectReceived(events);
}

function expectNowhere({ results = [] }: Answer): void {
  const said = results.filter(({ type }) => type === 'delivered');
  assert.equal(said.length, 0, 'events delivered to nowhere');
}

async function flapping(run: CaseRun): Promise<void> {
  const seed = Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  const events = run.make.many(3_000, { entities: 7 });
  await run.site.prepare?.(events);
  const outage = outageOf(run);
  const sink = await run.open();
  const over = new AbortController();
  const delivering = run.handOver(sink, events, 50).finally(() => over.abort());
  delivering.catch(() => undefined);
  for (let times = 0; times < 8 && !over.signal.aborted; times += 1) {
    await sleep(random.below(30));
    await outage.begin();
    await sleep(random.below(100));
    await outage.end();
  }
  await delivering;
  try {
    await run.expectReceived(events);
  } catch (cause) {
    throw new Error(`seed ${seed}`, { cause });
  }
}

function outageOf(run: CaseRun): NonNullable<SinkSite['outage']> {
  const { outage } = run.site;
  assert.ok(outage !== undefined, "the site's outage");
  return outage;
}

function hangingOf(run: CaseRun): Outage {
  const { freeze, thaw } = outageOf(run);
  assert.ok(freeze !== undefined && thaw !== undefined, "the site's freeze()");
  return { begin: freeze, end: thaw };
}
