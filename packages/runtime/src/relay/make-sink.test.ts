import { expect, test } from 'vitest';
import type { CheckpointOwner } from '../log/checkpoint.ts';
import { NullSink } from '../sinks/null/null-sink.ts';
import type { Sink, SinkBatch } from '../sinks/sink.ts';
import { batchOf, ConformanceEvents } from '../testing/sink-conformance/conformance-events.ts';
import { makeSink } from './make-sink.ts';

const owner = {} as CheckpointOwner;
const { signal } = new AbortController();
const batch = batchOf([new ConformanceEvents().make()]);

test('a sink that can be made is the one that was made', () => {
  const sink = new NullSink({ name: 'null' });
  expect(makeSink({ name: 'null', create: () => sink }, owner)).toBe(sink);
});

test('one that cannot be made is in trouble with each batch, until it can', async () => {
  let broken = true;
  const create = (): Sink => {
    if (broken) throw new Error('no licence');
    return new NullSink({ name: 'null' });
  };
  const sink = makeSink({ name: 'null', create }, owner);
  expect(sink.name).toBe('null');
  await expect(sink.deliver(batch, { signal })).rejects.toMatchObject({
    code: 'ER5001',
    message: expect.stringContaining('Sink null: its create threw no licence.') as string,
  });
  broken = false;
  expect(await sink.deliver(batch, { signal })).toEqual([{ type: 'delivered' }]);
  await sink[Symbol.asyncDispose]();
});

test('one that stores its own checkpoint says so once it is made, and is given nothing that was put together before', async () => {
  const batches: SinkBatch[] = [];
  const own = Object.assign(new NullSink({ name: 'null' }), {
    features: { order: true, dedupe: true, ownCheckpoint: true },
    deliver: async (given: SinkBatch) => {
      batches.push(given);
      return given.events.map(() => ({ type: 'delivered' as const }));
    },
  });
  let broken = true;
  const create = (): Sink => {
    if (broken) throw new Error('no licence');
    return own;
  };
  const sink = makeSink({ name: 'null', create }, owner);
  await expect(sink.deliver(batch, { signal })).rejects.toMatchObject({ code: 'ER5001' });
  expect(sink.features.ownCheckpoint).toBe(false);
  broken = false;
  await expect(sink.deliver(batch, { signal })).rejects.toThrow('is given the batch anew');
  expect(sink.features).toBe(own.features);
  expect(batches).toEqual([]);
  expect(await sink.deliver(batch, { signal })).toEqual([{ type: 'delivered' }]);
  expect(batches).toEqual([batch]);
});

test('one that has another name would write the checkpoint of another: it is not used, and is disposed', async () => {
  let disposed = 0;
  const other = Object.assign(new NullSink({ name: 'other' }), {
    async [Symbol.asyncDispose]() {
      disposed += 1;
    },
  });
  const sink = makeSink({ name: 'one', create: () => other }, owner);
  await expect(sink.deliver(batch, { signal })).rejects.toThrow('its create gave a sink named "other"');
  expect(disposed).toBe(2);
});

test.each([
  ['a promise', Promise.resolve()],
  ['null', null],
  ['a value of type undefined', undefined],
  ['a value of type object', { name: 'mine', deliver: () => [] }],
])('%s is no sink', async (what, given) => {
  const sink = makeSink({ name: 'mine', create: () => given as never }, owner);
  await expect(sink.deliver(batch, { signal })).rejects.toThrow(`its create gave ${what}, not a sink`);
});
