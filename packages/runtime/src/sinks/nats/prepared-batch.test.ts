import { expect, test } from 'vitest';
import { ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import type { BatchKind } from './batch-writer.ts';
import { Doubts } from './doubts.ts';
import { HeaderWriter } from './header-writer.ts';
import { PreparedBatch } from './prepared-batch.ts';

const make = new ConformanceEvents();

interface Given {
  readonly batches?: BatchKind;
  readonly server?: number;
  /** Whether the limit was asked for lately. Default true. */
  readonly confirmed?: boolean;
  readonly trouble?: Error;
  /** Of each event. Default: one of its own. */
  readonly entities?: readonly (string | null)[];
  readonly doubts?: Doubts;
}

/** @param payloads their bytes; subjects tell which messages were made */
function prepared(
  payloads: readonly number[],
  given: Given = {},
): { readonly batch: PreparedBatch; readonly made: string[]; readonly asked: number[] } {
  const [made, asked]: [string[], number[]] = [[], []];
  const { server, confirmed = true, trouble, entities } = given;
  const events = payloads.map((bytes, n) =>
    make.make({
      entityKey: entities === undefined ? `k${n}` : (entities[n] ?? null),
      payload: Buffer.alloc(bytes, '1'),
    }),
  );
  const known = { server, stream: undefined };
  const batch = new PreparedBatch(events, {
    stream: 'EVENTS',
    limits: {
      known,
      confirmedFor: () => (confirmed ? known : { server: undefined, stream: undefined }),
      trouble,
      ask: (_id, bytes) => void asked.push(bytes),
      release: () => undefined,
    },
    retryAfterMs: 70,
    batches: given.batches,
    writer: new HeaderWriter(),
    doubts: given.doubts ?? new Doubts(),
    subjectOf: (event) => {
      made.push(event.entityKey ?? '');
      return 'events.a';
    },
  });
  return { batch, made, asked };
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
  expect(made).toEqual([]);
  expect(batch.at(0)).toBe(batch.at(0));
  expect(made).toEqual(['k0']);
  expect([batch.at(2)?.payload.length, batch.resultAt(1), made.length]).toEqual([2, undefined, 3]);
});

test('what is above a limit that was asked for lately is rejected, and holds nothing back', () => {
  const { batch, asked } = prepared([2, 2_000_000, 2], { server: 1_048_576, entities: ['a', 'b', 'b'] });
  expect([batch.resultAt(0), batch.at(1), batch.resultAt(2)]).toEqual([undefined, undefined, undefined]);
  expect(batch.resultAt(1)).toMatchObject({
    type: 'rejected',
    reason: expect.stringMatching(/at most 1048576/),
  });
  // With its headers it may be, and is not.
  expect(prepared([1_000_000], { server: 1_048_576 }).batch.resultAt(0)).toBeUndefined();
  expect(asked).toEqual([]);
});

test('what is above a limit that may have changed waits with its entity until that was asked for, and nothing else', () => {
  const entities = ['a', 'b', 'b', 'a', null, null];
  const sizes = [2, 2_000_000, 2, 2, 3_000_000, 2];
  const { batch, asked } = prepared(sizes, { server: 1_048_576, confirmed: false, entities });
  const results = sizes.map((_, place) => batch.resultAt(place)?.type);
  expect(results).toEqual([undefined, 'retry', 'retry', undefined, 'retry', undefined]);
  const message = expect.stringMatching(/asked for anew.*at most 1048576/) as string;
  expect(batch.resultAt(1)).toMatchObject({ afterMs: 70, error: { code: 'ER4016', message } });
  expect(asked.map((bytes) => Math.floor(bytes / 1_000_000))).toEqual([2, 3]);
  const unanswered = prepared([2_000_000], {
    ...{ server: 1_048_576, confirmed: false },
    trouble: new Error('nobody is there'),
  });
  expect(unanswered.batch.resultAt(0)).toMatchObject({
    error: { message: expect.stringMatching(/no answer: nobody is there/) },
  });
});

test('what no server takes is rejected without asking', () => {
  const { batch, asked } = prepared([2], {
    server: 1_048_576,
    confirmed: false,
    entities: ['é'.repeat(20_000)],
  });
  expect(batch.resultAt(0)).toMatchObject({
    type: 'rejected',
    reason: expect.stringMatching(/^its headers/),
  });
  expect(asked).toEqual([]);
});
