import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { BatchKind } from './batch-writer.ts';
import { Doubts } from './doubts.ts';
import { type Batches, type Ordered, publishInOrder } from './publish-in-order.ts';
import type { Ack, Answer, OnAnswer, Outgoing, Publisher } from './publisher.ts';

/** What becomes of one call: stored and said so; stored, and the answer is lost; lost on the way; refused; poison. */
type Fate = 'stored' | 'answer lost' | 'lost' | 'refused' | 'poison';

/**
 * A stream that deduplicates, as JetStream does: answers come late and in any order, and what is on its way may be
 * overtaken by nothing but what is sent after it was lost.
 */
class ModelStream {
  readonly stored: string[] = [];
  readonly #fates: Iterator<Fate>;
  readonly #underWay = new Map<string, number>();
  mostUnderWay = 0;

  constructor(fates: readonly Fate[]) {
    this.#fates = fates[Symbol.iterator]();
  }

  get publisher(): Publisher {
    return publisherOf({
      publish: async (one) => await this.#one(one),
      publishBatch: async (all, kind) => await (kind === 'atomic' ? this.#all(all) : this.#fast(all)),
    });
  }

  async #one(one: Outgoing): Promise<Ack> {
    const entity = one.subject;
    const underWay = (this.#underWay.get(entity) ?? 0) + 1;
    this.#underWay.set(entity, underWay);
    this.mostUnderWay = Math.max(this.mostUnderWay, underWay);
    await turns(3);
    try {
      return this.#take(this.#fate(), () => this.#store(one));
    } finally {
      this.#underWay.set(entity, (this.#underWay.get(entity) ?? 1) - 1);
    }
  }

  async #all(messages: readonly Outgoing[]): Promise<Ack> {
    await turns(3);
    const known = messages.some((one) => this.stored.includes(idOf(one)));
    if (known) return { type: 'refused', code: 10_201, description: 'contains duplicate message id' };
    const fate = this.#fate();
    return this.#take(fate === 'poison' ? 'refused' : fate, () => {
      for (const one of messages) this.#store(one);
      return { type: 'stored', duplicate: false };
    });
  }

  /** As far as it comes: half of it where it is not stored. What is there is passed over. */
  async #fast(messages: readonly Outgoing[]): Promise<Ack> {
    await turns(3);
    const fate = this.#fate();
    const whole = fate === 'stored' || fate === 'answer lost';
    for (const one of whole ? messages : messages.slice(0, messages.length / 2)) this.#store(one);
    return this.#take(fate === 'poison' ? 'refused' : fate, () => ({ type: 'stored', duplicate: false }));
  }

  #take(fate: Fate, store: () => Ack): Ack {
    switch (fate) {
      case 'stored':
        return store();
      case 'answer lost':
        store();
        throw new Error('no answer');
      case 'lost':
        throw new Error('no answer');
      case 'refused':
        return { type: 'refused', code: 10_008, description: 'not now' };
      case 'poison':
        return { type: 'refused', code: 10_054, description: 'too large' };
      default:
        fate satisfies never;
        throw new TypeError('no fate');
    }
  }

  #store(one: Outgoing): Ack {
    const duplicate = this.stored.includes(idOf(one));
    if (!duplicate) this.stored.push(idOf(one));
    return { type: 'stored', duplicate };
  }

  #fate(): Fate {
    const next = this.#fates.next();
    return next.done === true ? 'stored' : next.value;
  }
}

/** A publisher by what becomes of what it is given; what is thrown is that there was no answer. */
function publisherOf(calls: {
  readonly publish?: (one: Outgoing) => Promise<Ack>;
  readonly publishBatch?: (all: readonly Outgoing[], kind: BatchKind) => Promise<Ack>;
}): Publisher {
  const told = (answer: Promise<Ack> | undefined, onAnswer: OnAnswer): void => {
    const failed = (error: Error): Answer => ({ type: 'unknown', error });
    void answer?.catch(failed).then(onAnswer);
  };
  const publisher: Pick<Publisher, 'publish' | 'beginBatch'> = {
    publish: (one, onAnswer) => told(calls.publish?.(one), onAnswer),
    beginBatch: (kind, onAnswer) => {
      const all: Outgoing[] = [];
      return {
        add: (one) => void all.push(one),
        end: () => told(calls.publishBatch?.(all, kind), onAnswer),
      };
    },
  };
  return publisher as Publisher;
}

/** Batches of at most so many; with `all` whatever the entities are. */
function batchesOf(
  limit: number,
  { kind = 'fast', all = false }: { readonly kind?: BatchKind; readonly all?: boolean } = {},
): Batches {
  return { kind, limit, all };
}

function idOf({ headers }: Outgoing): string {
  return headers.toString();
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
}

/** Of entity `e`, number `n`; null: of none. */
function message(entity: number | null, n: number): Ordered {
  return {
    subject: entity === null ? `none.${n}` : `e${entity}`,
    entity: entity === null ? undefined : `e${entity}`,
    headers: Buffer.from(`${entity}/${n}`),
    payload: Buffer.from('{}'),
  };
}

const { signal } = new AbortController();
const isPoison = (ack: Ack): boolean => ack.type === 'refused' && ack.code === 10_054;
const valid = (): boolean => true;

const fates = fc.array(
  fc.constantFrom<Fate>('stored', 'stored', 'stored', 'answer lost', 'lost', 'refused', 'poison'),
  { maxLength: 40 },
);
const entities = fc.array(fc.option(fc.integer({ min: 0, max: 3 }), { nil: null }), { maxLength: 30 });

test.each<[limit: number, kind: BatchKind, all: boolean]>([
  [0, 'atomic', false],
  [4, 'atomic', false],
  [4, 'atomic', true],
  [1_000, 'atomic', true],
  [4, 'fast', false],
  [4, 'fast', true],
  [1_000, 'fast', false],
  [1_000, 'fast', true],
])(
  'handed over until all is done, each entity is stored in order, whatever is lost; batches of %i, %s, for all %s',
  async (limit, kind, everything) => {
    await fc.assert(
      fc.asyncProperty(entities, fates, async (of, plan) => {
        const all = of.map(message);
        const model = new ModelStream(plan);
        let left = all;
        const poison = new Set<string>();
        const doubts = new Doubts();
        for (let round = 0; left.length > 0; round += 1) {
          expect(round).toBeLessThan(200);
          left = left.map((one) => ({
            ...one,
            care: doubts.careOf(idOf(one)),
            endings: doubts.endingsOf(idOf(one)),
          }));
          const batches = limit === 0 ? undefined : batchesOf(limit, { kind, all: everything });
          const options = { publisher: model.publisher, batches, signal, valid, isPoison };
          const outcomes = await publishInOrder(left, options);
          const waiting = new Set<string>();
          const again: Ordered[] = [];
          for (const [index, one] of left.entries()) {
            const outcome = outcomes[index]!;
            doubts.note(idOf(one), outcome, round % 2 === 0 ? undefined : { fault: undefined });
            const settled = outcome.type === 'stored' || (outcome.type === 'refused' && isPoison(outcome));
            if (outcome.type === 'stored') {
              // Nothing of the entity is delivered behind what waits.
              expect(one.entity !== undefined && waiting.has(one.entity)).toBe(false);
              expect(model.stored).toContain(idOf(one));
            } else if (settled) poison.add(idOf(one));
            if (settled) continue;
            if (one.entity !== undefined) waiting.add(one.entity);
            again.push(one);
          }
          left = again;
        }
        for (const entity of new Set(of)) {
          if (entity === null) continue;
          const wanted = all.filter((one) => one.entity === `e${entity}`).map(idOf);
          const stored = model.stored.filter((id) => id.startsWith(`${entity}/`));
          expect(stored.filter((id) => !poison.has(id))).toEqual(wanted.filter((id) => !poison.has(id)));
        }
        expect(model.mostUnderWay).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  },
);

test('entities that are there once go side by side; what is there more often goes as one batch', async () => {
  const calls: string[] = [];
  const answer = async (call: string): Promise<Ack> => {
    calls.push(call);
    await turns(3);
    calls.push(`answer to ${call}`);
    return { type: 'stored', duplicate: false };
  };
  const publisher = publisherOf({
    publish: async (one) => await answer(idOf(one)),
    publishBatch: async (all) => await answer(all.map(idOf).join(' ')),
  });
  const messages = [message(0, 1), message(1, 2), message(0, 3), message(null, 4)];
  await publishInOrder(messages, { publisher, batches: batchesOf(1_000), signal, valid, isPoison });
  expect(calls.slice(0, 3)).toEqual(['1/2', 'null/4', '0/1 0/3']);
  expect(calls).toHaveLength(6);
});

test.each([
  ['as many go in one batch', { count: 1_000, calls: 1 }],
  ['more in as many as it takes', { count: 1_001, calls: 2 }],
])('messages of an entity each, all in batches: %s', async (_, { count, calls }) => {
  const sent: number[] = [];
  const publisher = publisherOf({
    publishBatch: async (all) => {
      sent.push(all.length);
      return { type: 'stored', duplicate: false };
    },
  });
  const messages = Array.from({ length: count }, (_each, n) => message(n, 0));
  const batches = batchesOf(1_000, { all: true });
  const outcomes = await publishInOrder(messages, { publisher, batches, signal, valid, isPoison });
  expect(outcomes.every(({ type }) => type === 'stored')).toBe(true);
  expect(sent).toHaveLength(calls);
  expect(sent.reduce((sum, each) => sum + each, 0)).toBe(count);
});

test('what may not go in a batch goes behind it, with what is later of its entity; what there is nothing to be sent for is left out', async () => {
  const calls: string[] = [];
  const answer = async (call: string): Promise<Ack> => {
    calls.push(call);
    await turns(3);
    return { type: 'stored', duplicate: false };
  };
  const publisher = publisherOf({
    publish: async (one) => await answer(idOf(one)),
    publishBatch: async (all) => await answer(all.map(idOf).join(' ')),
  });
  const messages = [
    message(0, 1),
    message(1, 2),
    { ...message(0, 3), care: 'one by one' as const },
    undefined,
    message(0, 5),
    message(1, 6),
  ];
  const given = { length: messages.length, at: (place: number) => messages[place] };
  const batches = batchesOf(1_000, { all: true });
  const outcomes = await publishInOrder(given, { publisher, batches, signal, valid, isPoison });
  expect(calls).toEqual(['0/1 1/2 1/6', '0/3', '0/5']);
  expect(outcomes.map(({ type }) => type)).toEqual([
    'stored',
    'stored',
    'stored',
    'unsent',
    'stored',
    'stored',
  ]);
});

test('behind a message of a batch whose fate is unknown nothing more of its entity goes', async () => {
  const calls: string[] = [];
  const publisher = publisherOf({
    publish: async (one) => {
      calls.push(idOf(one));
      return { type: 'stored', duplicate: false };
    },
    publishBatch: async () => {
      throw new Error('connection lost');
    },
  });
  const messages = [
    message(0, 1),
    { ...message(0, 2), care: 'one by one' as const },
    { ...message(1, 3), care: 'one by one' as const },
  ];
  const batches = batchesOf(1_000, { all: true });
  const outcomes = await publishInOrder(messages, { publisher, batches, signal, valid, isPoison });
  expect(calls).toEqual(['1/3']);
  expect(outcomes.map(({ type }) => type)).toEqual(['unknown', 'unsent', 'stored']);
});

test('one without an entity that waits holds back no other one', async () => {
  const publisher = publisherOf({
    publish: async (one) =>
      idOf(one) === 'null/0'
        ? { type: 'refused', code: 403, description: 'not allowed' }
        : { type: 'stored', duplicate: false },
    publishBatch: async () => ({ type: 'refused', code: 403, description: 'not allowed' }),
  });
  const messages = [0, 1, 2, 3].map((n) => message(null, n));
  const options = { publisher, batches: batchesOf(2, { all: true }), signal, valid, isPoison };
  const outcomes = await publishInOrder(messages, options);
  expect(outcomes.map(({ type }) => type)).toEqual(['refused', 'stored', 'stored', 'stored']);
});

test('without the lease, and once it is aborted, nothing more is sent', async () => {
  let left = 2;
  const calls: string[] = [];
  const publisher = publisherOf({
    publish: async (one) => {
      calls.push(idOf(one));
      return { type: 'stored', duplicate: false };
    },
  });
  const messages = [1, 2, 3, 4].map((n) => message(0, n));
  const held = (): boolean => (left -= 1) >= 0;
  const outcomes = await publishInOrder(messages, {
    publisher,
    batches: undefined,
    signal,
    valid: held,
    isPoison,
  });
  expect(outcomes.map(({ type }) => type)).toEqual(['stored', 'stored', 'unsent', 'unsent']);
  const aborted = AbortSignal.abort(new Error('let go'));
  const options = { publisher, batches: undefined, signal: aborted, valid, isPoison };
  await expect(publishInOrder(messages, options)).rejects.toThrow('let go');
  expect(calls).toHaveLength(2);
});

test('a batch has at most 1 MiB; a larger message goes in one of its own', async () => {
  const calls: number[] = [];
  const publisher = publisherOf({
    publishBatch: async (all) => {
      calls.push(all.length);
      return { type: 'stored', duplicate: false };
    },
  });
  const sizes = [400_000, 400_000, 400_000, 2_000_000, 10, 10];
  const messages = sizes.map((size, n) => ({ ...message(0, n), payload: Buffer.alloc(size) }));
  const options = { publisher, batches: batchesOf(1_000), signal, valid, isPoison };
  const outcomes = await publishInOrder(messages, options);
  expect(outcomes.every(({ type }) => type === 'stored')).toBe(true);
  expect(calls).toEqual([2, 1, 1, 2]);
});

test('in doubt: one by one within the entity; alone, the most doubtful last, and nothing behind what has no answer', async () => {
  const calls: string[] = [];
  const publisher = publisherOf({
    publish: async (one) => {
      calls.push(idOf(one));
      await turns(3);
      if (idOf(one) === '2/1') throw new Error('connection lost');
      calls.push(`answer to ${idOf(one)}`);
      return { type: 'stored', duplicate: false };
    },
  });
  const messages: Ordered[] = [
    { ...message(2, 1), care: 'alone', endings: 2 },
    { ...message(3, 1), care: 'alone', endings: 3 },
    message(4, 1),
    { ...message(4, 2), care: 'alone', endings: 1 },
    { ...message(0, 1), care: 'one by one' },
    message(0, 2),
    message(1, 1),
  ];
  const options = { publisher, batches: batchesOf(1_000), signal, valid, isPoison };
  const outcomes = await publishInOrder(messages, options);
  expect(calls.slice(0, 2)).toEqual(['0/1', '1/1']);
  expect(calls.slice(2, 6).filter((call) => call.includes('0/'))).toEqual([
    ...['answer to 0/1', '0/2', 'answer to 0/2'],
  ]);
  expect(calls.slice(6)).toEqual(['4/1', 'answer to 4/1', '4/2', 'answer to 4/2', '2/1']);
  expect(outcomes.map(({ type }) => type)).toEqual([
    ...['unknown', 'unsent', 'stored', 'stored', 'stored', 'stored', 'stored'],
  ]);
});
