import { expect, test } from 'vitest';
import { ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import type { BatchKind } from './batch-writer.ts';
import { Doubts } from './doubts.ts';
import { HeaderWriter } from './header-writer.ts';
import { PreparedBatch } from './prepared-batch.ts';

const make = new ConformanceEvents();

/** @param payloads their bytes; subjects tell which messages were made */
function prepared(
  payloads: readonly number[],
  options: { readonly batches?: BatchKind; readonly server?: number } = {},
): { readonly batch: PreparedBatch; readonly made: string[] } {
  const made: string[] = [];
  const events = payloads.map((bytes, n) =>
    make.make({ entityKey: `k${n}`, payload: Buffer.alloc(bytes, '1') }),
  );
  const batch = new PreparedBatch(events, {
    stream: 'EVENTS',
    limits: { server: options.server, stream: undefined },
    batches: options.batches,
    writer: new HeaderWriter(),
    doubts: new Doubts(),
    subjectOf: (event) => {
      made.push(event.entityKey ?? '');
      return 'events.a';
    },
  });
  return { batch, made };
}

function filled(count: number, bytes: number): readonly number[] {
  return Array.from({ length: count }, () => bytes);
}

test.each<[what: string, payloads: readonly number[], kind: BatchKind | undefined, all: boolean | undefined]>(
  [
    ['499 events', filled(499, 2), 'fast', false],
    ['500 events', filled(500, 2), 'fast', true],
    ['500 events for atomic batches', filled(500, 2), 'atomic', true],
    ['500 events of 2,048 bytes', filled(500, 2_048), 'fast', true],
    ['500 events of 2,049 bytes, of which a batch would have few', filled(500, 2_049), 'fast', false],
    ['a stream that takes none', filled(500, 2), undefined, undefined],
  ],
)('whether all go in batches: %s', (_, payloads, kind, all) => {
  const { batch } = prepared(payloads, kind === undefined ? {} : { batches: kind });
  expect(batch.batches).toEqual(all === undefined ? undefined : { kind, limit: 1_000, all });
});

test('each message is made once, when it is asked for, and none before it must be', () => {
  const { batch, made } = prepared([2, 2, 2], { server: 1_048_576 });
  expect([batch.tooLarge(), made]).toEqual([false, []]);
  expect(batch.at(0)).toBe(batch.at(0));
  expect(made).toEqual(['k0']);
  expect([batch.at(2)?.payload.length, batch.resultAt(1), made.length]).toEqual([2, undefined, 3]);
});

test('what is above a limit is rejected, and that one is, is known before anything is sent', () => {
  const { batch } = prepared([2, 2_000_000], { server: 1_048_576 });
  expect(batch.tooLarge()).toBe(true);
  expect([batch.resultAt(0), batch.at(1)]).toEqual([undefined, undefined]);
  expect(batch.resultAt(1)).toMatchObject({
    type: 'rejected',
    reason: expect.stringMatching(/at most 1048576/),
  });
  // With its headers it may be, and is not.
  expect(prepared([1_000_000], { server: 1_048_576 }).batch.tooLarge()).toBe(false);
});
