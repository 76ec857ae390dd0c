import { MemorySink, type SinkBatch } from '@event-runtime/runtime';
import { expect, test } from 'vitest';
import { customSink } from './custom-sink.ts';

const batch: SinkBatch = { events: [], checkpoint: {} as SinkBatch['checkpoint'] };
const { signal } = new AbortController();

test('made at the first batch, and anew after what it threw', async () => {
  let times = 0;
  await using sink = customSink({
    name: 'mine',
    create: () => {
      times += 1;
      if (times === 1) throw new Error('no address');
      return new MemorySink({ name: 'mine' });
    },
  });
  expect([sink.name, times]).toEqual(['mine', 0]);
  await expect(sink.deliver(batch, { signal })).rejects.toMatchObject({
    code: 'ER5001',
    message: expect.stringContaining('Sink mine: its create threw no address.'),
  });
  expect(await sink.deliver(batch, { signal })).toEqual([]);
  expect(await sink.deliver(batch, { signal })).toEqual([]);
  expect(times).toBe(2);
});

test.each([
  ['a promise', Promise.resolve()],
  ['null', null],
  ['a value of type undefined', undefined],
  ['a value of type object', { name: 'mine', deliver: () => [] }],
])('%s is no sink', async (what, given) => {
  await using sink = customSink({ name: 'mine', create: () => given as never });
  await expect(sink.deliver(batch, { signal })).rejects.toThrow(`its create gave ${what}, not a sink`);
});

test('a sink of another name is not used, and is disposed', async () => {
  let disposed = false;
  const other = Object.assign(new MemorySink({ name: 'other' }), {
    async [Symbol.asyncDispose]() {
      disposed = true;
    },
  });
  await using sink = customSink({ name: 'mine', create: () => other });
  await expect(sink.deliver(batch, { signal })).rejects.toThrow('gave a sink named "other"');
  expect(disposed).toBe(true);
});
