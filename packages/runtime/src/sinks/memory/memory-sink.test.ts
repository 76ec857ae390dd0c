import { expect, test } from 'vitest';
import { payloads } from '../file/sink-batch.suite.ts';
import { MemorySink } from './memory-sink.ts';

const { signal } = new AbortController();
const texts = (sink: MemorySink): string[] => sink.events.map(({ event }) => event.payload.toString());

test('keeps events in order, each time they come', async () => {
  await using sink = new MemorySink({ name: 'kept' });
  await sink.deliver(payloads('1', '2'), { signal });
  const before = sink.events;
  await sink.deliver(payloads('2', '3'), { signal });
  expect(texts(sink)).toEqual(['1', '2', '2', '3']);
  expect(before).toHaveLength(2);
});

test('keeps a copy: the buffer that was handed over is free for others', async () => {
  await using sink = new MemorySink({ name: 'kept' });
  const batch = payloads('"mine"');
  await sink.deliver(batch, { signal });
  batch.events[0]!.event.payload.fill(0x78);
  expect(texts(sink)).toEqual(['"mine"']);
});

test('full, it asks again for what found no room and for all behind it, until it is cleared', async () => {
  await using sink = new MemorySink({ name: 'small', maxEvents: 3, retryAfterMs: 70 });
  await sink.deliver(payloads('1', '2'), { signal });
  const results = await sink.deliver(payloads('3', '4', '5'), { signal });
  expect(results.map(({ type }) => type)).toEqual(['delivered', 'retry', 'retry']);
  expect(results[1]).toMatchObject({ afterMs: 70, error: { code: 'ER4010' } });
  const before = sink.events;
  sink.clear();
  expect((await sink.deliver(payloads('4', '5'), { signal })).map(({ type }) => type)).toEqual([
    'delivered',
    'delivered',
  ]);
  expect([before.length, texts(sink)]).toEqual([3, ['4', '5']]);
});

test('aborted, it takes nothing', async () => {
  await using sink = new MemorySink({ name: 'kept' });
  const reason = new Error('stop');
  await expect(sink.deliver(payloads('1'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(sink.events).toEqual([]);
});

test('until waits for what is asked, and ends with the signal or with the sink', async () => {
  const sink = new MemorySink({ name: 'kept' });
  const stop = new AbortController();
  const two = sink.until((events) => events.length === 2);
  const never = sink.until(() => false, { signal: stop.signal });
  const noSignal = sink.until(() => false);
  noSignal.catch(() => undefined);
  await sink.deliver(payloads('1'), { signal });
  await sink.deliver(payloads('2'), { signal });
  await two;
  const reason = new Error('changed my mind');
  stop.abort(reason);
  await expect(never).rejects.toBe(reason);
  await sink[Symbol.asyncDispose]();
  await expect(noSignal).rejects.toThrow('disposed');
  await expect(sink.until(() => false)).rejects.toThrow('disposed');
  await sink.until((events) => events.length === 2);
});
