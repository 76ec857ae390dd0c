import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../seeded-random.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import { batchOf } from './conformance-events.ts';
import type { SinkCase, SinkConformanceOptions, SinkSite } from './sink-site.ts';

/** The destination goes away, and comes back. */
export function outageCases(options: SinkConformanceOptions): SinkCase[] {
  if (options.without?.includes('outage') === true) return [];
  return [
    sinkCase(options, 'while the destination is away nothing is delivered; then it goes on by itself', away),
    sinkCase(options, 'opened while the destination is away: it waits, and goes on by itself', openedAway),
    sinkCase(options, 'aborted while the destination is away, it settles', abortedAway),
    sinkCase(
      options,
      'the destination goes away again and again under load: nothing lost or reordered',
      flapping,
    ),
  ];
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
  const events = run.make.many(50, { entities: 5 });
  await run.site.prepare?.(events);
  const outage = outageOf(run);
  const sink = await run.open();
  await run.handOver(sink, events.slice(0, 10));
  await outage.begin();
  const stop = new AbortController();
  const delivering = sink.deliver(batchOf(events.slice(10)), { signal: stop.signal }).catch(() => undefined);
  await sleep(200);
  stop.abort(new Error('let go'));
  try {
    const results = await run.soon('a batch that is aborted', delivering);
    const said = results?.filter(({ type }) => type === 'delivered') ?? [];
    assert.equal(said.length, 0, 'events delivered to nowhere');
  } finally {
    await outage.end();
  }
  await run.handOver(sink, events.slice(10));
  await run.expectReceived(events);
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
