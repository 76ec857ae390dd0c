import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DeliveryResult } from '../../sinks/sink.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import { batchOf } from './conformance-events.ts';
import { checkResults } from './handover.ts';
import type { SinkCase, SinkConformanceOptions } from './sink-site.ts';

/** Aborted, disposed, without the lease. */
export function lifeCases(options: SinkConformanceOptions): SinkCase[] {
  const cases = [
    sinkCase(options, 'aborted before it begins, a batch is not begun', abortedBefore),
    sinkCase(options, 'aborted in the middle, it settles, and what it says is true', abortedWithin),
    sinkCase(options, 'disposed in the middle of a batch, both settle; twice is as once', disposedWithin),
  ];
  if (options.without?.includes('lease') !== true) {
    cases.push(sinkCase(options, 'without the lease nothing is written', withoutLease));
  }
  return cases;
}

async function abortedBefore(run: CaseRun): Promise<void> {
  const events = run.make.many(10, { entities: 2 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const signal = AbortSignal.abort(new Error('let go'));
  await expectNothing(run, sink.deliver(batchOf(events), { signal }));
  // It goes on all the same.
  await run.handOver(sink, events);
  await run.expectReceived(events);
}

async function abortedWithin(run: CaseRun): Promise<void> {
  const events = run.make.many(1_000, { entities: 10 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  for (const turns of [0, 1, 5, 50]) {
    const stop = new AbortController();
    const delivering = sink.deliver(batchOf(events), { signal: stop.signal }).catch(() => undefined);
    for (let turn = 0; turn < turns; turn += 1) await nextTurn();
    stop.abort(new Error('let go'));
    const results = await run.soon('a batch that is aborted', delivering);
    if (results === undefined) continue;
    checkResults(events, results);
    await expectDelivered(
      run,
      events.map(({ event }) => event.eventId),
      results,
    );
  }
  await run.handOver(sink, events, 1_000);
  await run.expectReceived(events);
}

async function disposedWithin(run: CaseRun): Promise<void> {
  const events = run.make.many(1_000, { entities: 10 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const { signal } = new AbortController();
  const delivering = sink.deliver(batchOf(events), { signal }).catch(() => undefined);
  await run.end(sink);
  const results = await run.soon('the batch of a sink that is disposed', delivering);
  if (results !== undefined) {
    checkResults(events, results);
    await expectDelivered(
      run,
      events.map(({ event }) => event.eventId),
      results,
    );
  }
  await run.end(sink);
  await run.handOver(await run.open(), events, 1_000);
  await run.expectReceived(events);
}

async function withoutLease(run: CaseRun): Promise<void> {
  const events = run.make.many(10, { entities: 2 });
  await run.site.prepare?.(events);
  const sink = await run.open();
  const { signal } = new AbortController();
  await expectNothing(run, sink.deliver(batchOf(events), { signal, valid: () => false }));
  await run.handOver(sink, events);
  await run.expectReceived(events);
}

/** It rejects, or asks for all of it again; nothing has come to the destination. */
async function expectNothing(run: CaseRun, delivering: Promise<readonly DeliveryResult[]>): Promise<void> {
  const results = await run.soon(
    'the batch',
    delivering.catch(() => []),
  );
  for (const { type } of results) assert.equal(type, 'retry');
  assert.equal((await run.received()).length, 0, 'events at the destination');
}

/** What the sink said to be delivered is at the destination. */
async function expectDelivered(
  run: CaseRun,
  ids: readonly string[],
  results: readonly DeliveryResult[],
): Promise<void> {
  if (run.site.received === undefined) return;
  const there = new Set((await run.received()).map(({ attributes }) => attributes['id']));
  const untrue = ids.filter((id, index) => results[index]?.type === 'delivered' && !there.has(id));
  assert.equal(untrue.length, 0, `${untrue.length} events are said to be delivered, and are not`);
}
