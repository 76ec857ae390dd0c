import { expect, test } from 'vitest';
import { Snapshot } from '../log/snapshot.ts';
import { NullSink } from './null/null-sink.ts';
import { OpenedOnUse } from './opened-on-use.ts';

const features = { order: true, dedupe: false, ownCheckpoint: false };
const batch = {
  events: [],
  checkpoint: {
    mode: 'table',
    position: { lsn: 0n, ordinal: -1 },
    snapshot: Snapshot.nothing,
    batch: null,
    floorSeq: 0n,
    adoption: null,
  },
} as unknown as Parameters<NullSink['deliver']>[0];
const { signal } = new AbortController();

test('opened at the first batch, again after a failure, once', async () => {
  let opened = 0;
  const inner = new NullSink({ name: 'inner' });
  await using sink = new OpenedOnUse({
    name: 'late',
    features,
    open: async () => {
      opened += 1;
      if (opened === 1) throw new Error('not yet');
      return inner;
    },
  });
  expect(opened).toBe(0);
  await expect(sink.deliver(batch, { signal })).rejects.toThrow('not yet');
  expect(await sink.deliver(batch, { signal })).toEqual([]);
  expect(await sink.deliver(batch, { signal })).toEqual([]);
  expect(opened).toBe(2);
});

test('disposed while it is being opened, it waits for that, and disposes it', async () => {
  const opening = Promise.withResolvers<NullSink>();
  let disposed = 0;
  const sink = new OpenedOnUse({ name: 'slow', features, open: async () => await opening.promise });
  const delivering = sink.deliver(batch, { signal });
  const ended = sink[Symbol.asyncDispose]();
  opening.resolve(
    Object.assign(new NullSink({ name: 'inner' }), {
      async [Symbol.asyncDispose]() {
        disposed += 1;
      },
    }),
  );
  await Promise.all([delivering, ended]);
  expect(disposed).toBe(1);
});

test('disposed with what it opened, also where it opened nothing', async () => {
  let disposed = 0;
  const open = async () =>
    Object.assign(new NullSink({ name: 'inner' }), {
      async [Symbol.asyncDispose]() {
        disposed += 1;
      },
    });
  await new OpenedOnUse({ name: 'unused', features, open })[Symbol.asyncDispose]();
  expect(disposed).toBe(0);
  const used = new OpenedOnUse({ name: 'used', features, open });
  await used.deliver(batch, { signal });
  await used[Symbol.asyncDispose]();
  expect(disposed).toBe(1);
});
