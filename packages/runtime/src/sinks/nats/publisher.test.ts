import type { Msg, MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { BatchKind } from './batch-writer.ts';
import { type Answer, type Outgoing, Publisher } from './publisher.ts';

interface Sent {
  readonly subject: string;
  readonly reply: string | undefined;
  /** As they go over the wire. */
  readonly headers: string;
}

/** A connection whose other end is the test. */
function connectionOfATest(): {
  readonly connection: NatsConnection;
  readonly sent: Sent[];
  readonly answer: (data: string, more?: { readonly to?: number; readonly headers?: MsgHdrs }) => void;
} {
  const sent: Sent[] = [];
  let callback: ((error: Error | null, message: Msg) => void) | undefined;
  const connection = {
    subscribe: (_subject: string, options: { callback: typeof callback }) => {
      callback = options.callback;
    },
    publish: (
      subject: string,
      _payload: Uint8Array,
      options: { readonly reply?: string; readonly headers: { encode(): Buffer } },
    ) => {
      sent.push({ subject, reply: options.reply, headers: options.headers.encode().toString() });
    },
  } as unknown as NatsConnection;
  return {
    connection,
    sent,
    answer: (data, { to = sent.length - 1, headers: given } = {}) =>
      callback?.(null, {
        subject: sent[to]!.reply!,
        data: Buffer.from(data),
        headers: given,
      } as unknown as Msg),
  };
}

/** Time that passes only where the test says so. */
function timeOfATest(): (milliseconds: number) => Promise<unknown> {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return async (milliseconds) => await vi.advanceTimersByTimeAsync(milliseconds);
}

const message = {
  subject: 'events.a',
  headers: Buffer.from('NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n'),
  payload: Buffer.from('{}'),
};
const options = { stream: 'EVENTS', ackMs: 60_000 };

async function publish(publisher: Publisher, one: Outgoing): Promise<Answer> {
  return await new Promise((resolve) => {
    publisher.publish(one, resolve);
  });
}

async function publishBatch(
  publisher: Publisher,
  { all, kind = 'atomic' }: { readonly all: readonly Outgoing[]; readonly kind?: BatchKind },
): Promise<Answer> {
  return await new Promise((resolve) => {
    const batch = publisher.beginBatch(kind, resolve);
    for (const one of all) batch.add(one);
    batch.end();
  });
}

/** 'waiting' as long as the promise has not settled. */
async function stateOf<T>(promise: Promise<T>): Promise<T | 'waiting'> {
  await new Promise(setImmediate);
  return await Promise.race([promise, Promise.resolve('waiting' as const)]);
}

test.each([
  '{}',
  'OK',
  '',
  'null',
  '"EVENTS"',
  '{"stream":"OTHER","seq":1}',
  '{"stream":"EVENTS"}',
  '{"stream":"EVENTS","seq":0}',
])(
  '%j of whoever subscribes to the subject is no acknowledgement; the one of the stream is',
  async (reply) => {
    const { connection, answer } = connectionOfATest();
    const publishing = publish(new Publisher(connection, options), message);
    answer(reply);
    expect(await stateOf(publishing)).toBe('waiting');
    answer('{"stream":"EVENTS","seq":7}');
    expect(await stateOf(publishing)).toEqual({ type: 'stored', duplicate: false });
  },
);

test('an atomic batch is stored when all of it is, under its id', async () => {
  const { connection, sent, answer } = connectionOfATest();
  const publishing = publishBatch(new Publisher(connection, options), { all: [message, message] });
  const batch = /Nats-Batch-Id: (.*)\r\n/.exec(sent[0]!.headers)?.[1];
  const numbered = (n: number): string =>
    `NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${n}\r\n`;
  expect(sent.map(({ headers }) => headers)).toEqual([
    `${numbered(1)}\r\n`,
    `${numbered(2)}Nats-Batch-Commit: 1\r\n\r\n`,
  ]);
  for (const wrong of [{}, { batch: 'another', count: 2 }, { batch, count: 1 }]) {
    answer(JSON.stringify({ stream: 'EVENTS', seq: 2, ...wrong }));
  }
  expect(await stateOf(publishing)).toBe('waiting');
  answer(JSON.stringify({ stream: 'EVENTS', seq: 2, batch, count: 2 }));
  expect(await stateOf(publishing)).toEqual({ type: 'stored', duplicate: false });
});

test('a fast batch is stored when all of it is: number, operation and that no gap is let through are in the reply subjects', async () => {
  const { connection, sent, answer } = connectionOfATest();
  const publishing = publishBatch(new Publisher(connection, options), {
    all: [message, message, message],
    kind: 'fast',
  });
  expect(new Set(sent.map(({ headers }) => headers))).toEqual(
    new Set(['NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n']),
  );
  const [, inbox, batch] = /^(_INBOX\.\w+\.\w+)\.([\w-]{36})\./.exec(sent[0]!.reply!)!;
  expect(sent.map(({ reply }) => reply)).toEqual(
    ['1.0', '2.1', '3.2'].map((end) => `${inbox}.${batch}.1000.fail.${end}.$FI`),
  );
  // Between: how far it is, and what another one has.
  answer('{"type":"ack","seq":2,"msgs":500}', { to: 1 });
  answer('{"type":"gap","last_seq":2,"seq":3}', { to: 1 });
  answer(JSON.stringify({ stream: 'EVENTS', seq: 3, batch: 'another', count: 3 }));
  expect(await stateOf(publishing)).toBe('waiting');
  answer(JSON.stringify({ stream: 'EVENTS', seq: 3, batch, count: 3 }));
  expect(await stateOf(publishing)).toEqual({ type: 'stored', duplicate: false });
});

test.each([
  ['{"type":"err","seq":2,"error":{"err_code":10054,"description":"too large"}}', 10_054],
  ['{"error":{"err_code":10208,"description":"unknown batch"},"stream":"EVENTS","seq":0}', 10_208],
  ['{"stream":"EVENTS","seq":7,"batch":"BATCH","count":1}', 10_176],
  ['{"stream":"EVENTS","seq":0,"batch":"BATCH","count":2}', 10_176],
])('a fast batch that ended early, or has nothing new, as %s says, is refused', async (said, code) => {
  const { connection, sent, answer } = connectionOfATest();
  const publishing = publishBatch(new Publisher(connection, options), {
    all: [message, message],
    kind: 'fast',
  });
  const batch = sent[0]!.reply!.split('.')[3]!;
  answer(said.replace('BATCH', batch), { to: 0 });
  expect(await stateOf(publishing)).toMatchObject({ type: 'refused', code });
});

test('what may not be published is refused, alone or in a batch; nothing else is', async () => {
  const { connection } = connectionOfATest();
  const publisher = new Publisher(connection, options);
  const other = publish(publisher, message);
  const denied = publish(publisher, { ...message, subject: 'events.bad' });
  const batch = publishBatch(publisher, {
    all: [message, { ...message, subject: 'events.bad' }],
  });
  publisher.refuse('events.bad', 'not you');
  const refused = { type: 'refused', code: 403, description: 'not you' };
  expect([await stateOf(denied), await stateOf(batch)]).toEqual([refused, refused]);
  expect(await stateOf(other)).toBe('waiting');
});

test.each([
  [10_059, true],
  [10_060, true],
  [10_109, true],
  [10_174, true],
  [10_205, true],
  [10_077, false],
])('after error %i the stream has changed: %s', async (code, changed) => {
  const { connection, answer } = connectionOfATest();
  const publisher = new Publisher(connection, options);
  const publishing = publish(publisher, message);
  answer(JSON.stringify({ error: { err_code: code, description: 'why' } }));
  expect(await publishing).toEqual({ type: 'refused', code, description: 'why' });
  expect(publisher.streamChanged).toBe(changed);
});

test('an answer is waited for as long as others come, and then for its time', async () => {
  const passes = timeOfATest();
  const { connection, answer } = connectionOfATest();
  const publisher = new Publisher(connection, { ...options, ackMs: 1_000 });
  const first = publish(publisher, message);
  for (let to = 1; to < 6; to += 1) {
    const next = publish(publisher, message);
    await passes(250);
    answer('{"stream":"EVENTS","seq":7}', { to });
    await next;
  }
  expect(await stateOf(first)).toBe('waiting');
  await passes(1_500);
  expect(await first).toMatchObject({ type: 'unknown', error: { code: 'ER4016' } });
});

test('a large message has a second more for each 128 KiB: a slow link is no server that is gone', async () => {
  const passes = timeOfATest();
  const { connection } = connectionOfATest();
  const publisher = new Publisher(connection, { ...options, ackMs: 100 });
  const small = publish(publisher, message);
  const large = [{ ...message, payload: Buffer.alloc(300_000) }, message];
  const batch = publishBatch(publisher, { all: large });
  await passes(200);
  expect(await small).toMatchObject({ type: 'unknown', error: { code: 'ER4016' } });
  await passes(200);
  expect(await stateOf(batch)).toBe('waiting');
  publisher.fail(new Error('over'));
  expect(await batch).toEqual({ type: 'unknown', error: new Error('over') });
});
