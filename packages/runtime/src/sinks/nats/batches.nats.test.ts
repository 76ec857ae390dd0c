import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { readNatsStream } from '../../testing/read-nats-stream.ts';
import type { BatchKind } from './batch-writer.ts';
import { NatsSite } from './nats-site.suite.ts';
import { type Answer, type Outgoing, Publisher } from './publisher.ts';

const program = inject('natsServer');
const config = { allow_atomic: true, allow_batched: true, max_msg_size: 1_000 };

function message(id: string, bytes = 2): Outgoing {
  return {
    subject: `events.${id}`,
    headers: Buffer.from(`NATS/1.0\r\nNats-Msg-Id: ${id}\r\n\r\n`),
    payload: Buffer.alloc(bytes, '1'),
  };
}

/** What the order of events rests on: what a server does with a batch that does not come as it should. */
describe.skipIf(program === undefined)('what a server stores of a batch [needs nats-server]', () => {
  let site: NatsSite;
  let connection: NatsConnection;
  let publisher: Publisher;
  beforeEach(async () => {
    site = await NatsSite.create(program!, config);
    connection = await connect({ servers: site.server.url, reconnect: false });
    publisher = new Publisher(connection, { stream: 'EVENTS', ackMs: 1_000 });
  });
  afterEach(async () => {
    publisher?.fail(new Error('over'));
    await connection?.close();
    await site?.[Symbol.asyncDispose]();
  });

  async function publish(kind: BatchKind, messages: readonly Outgoing[]): Promise<Answer> {
    return await new Promise((resolve) => {
      const batch = publisher.beginBatch(kind, resolve);
      for (const one of messages) batch.add(one);
      batch.end();
    });
  }

  async function stored(): Promise<readonly string[]> {
    // What is sent behind it is there after it.
    await connection.flush();
    return (await readNatsStream([site.server.url], 'EVENTS')).map(({ subject }) => subject.split('.')[1]!);
  }

  const four = ['a', 'b', 'c', 'd'].map((id) => message(id));
  const [all, whole, none] = [{ type: 'stored' }, ['a', 'b', 'c', 'd'], [] as string[]];
  const refused = (code: number) => ({ type: 'refused', code });
  test.each<
    [what: string, kind: BatchKind, before: string[], sent: Outgoing[], answer: object, there: string[]]
  >([
    ['all of it', 'atomic', [], four, all, whole],
    ['all of it', 'fast', [], four, all, whole],
    ['a single one', 'fast', [], [message('a')], all, ['a']],
    ['a single one that is there', 'fast', ['a'], [message('a')], all, ['a']],
    ['nothing, where one is there', 'atomic', ['c'], four, refused(10_201), ['c']],
    ['the rest, where one is there', 'fast', ['c'], four, all, ['c', 'a', 'b', 'd']],
    ['the rest, where the last is there', 'fast', ['d'], four, all, ['d', 'a', 'b', 'c']],
    ['the rest, where the first is there', 'fast', ['a'], four, all, whole],
    ['nothing more, where all of it is there', 'fast', ['a', 'b', 'c', 'd'], four, refused(10_176), whole],
    [
      'nothing, where one is too large',
      'atomic',
      [],
      [message('a'), message('b', 2_000), message('c')],
      refused(10_176),
      none,
    ],
    [
      'what is before one that is too large',
      'fast',
      [],
      [message('a'), message('b', 2_000), message('c'), message('d')],
      refused(10_054),
      ['a'],
    ],
    [
      'what is before the last one that is too large',
      'fast',
      [],
      [message('a'), message('b'), message('c', 2_000)],
      refused(10_054),
      ['a', 'b'],
    ],
    [
      'nothing, where the first is too large',
      'fast',
      [],
      [message('a', 2_000), message('b'), message('c')],
      refused(10_054),
      none,
    ],
  ])('%s (%s), with %j there before', async (_, kind, before, sent, answer, there) => {
    for (const id of before) await publish('fast', [message(id)]);
    expect(await publish(kind, sent)).toMatchObject(answer);
    expect(await stored()).toEqual(there);
  });

  /** Publishes with the first message that satisfies the condition left out, as if it was lost on its way. */
  function losing(condition: (reply: string) => boolean): NatsConnection {
    return new Proxy(connection, {
      get: (target, name) => {
        if (name !== 'publish') return Reflect.get(target, name).bind(target) as unknown;
        return (...given: Parameters<NatsConnection['publish']>) => {
          if (!condition(given[2]?.reply ?? '')) target.publish(...given);
        };
      },
    });
  }

  test.each<[lost: number, there: readonly string[]]>([
    [1, []],
    [2, ['a']],
    [3, ['a', 'b']],
  ])('fast, and number %i is lost on its way: nothing behind it', async (lost, there) => {
    const holed = losing((reply) => reply.endsWith(`.${lost}.0.$FI`) || reply.endsWith(`.${lost}.1.$FI`));
    publisher = new Publisher(holed, { stream: 'EVENTS', ackMs: 1_000 });
    const messages = four;
    expect((await publish('fast', messages)).type).toBe('refused');
    expect(await stored()).toEqual(there);
    // As the sink does it: message by message.
    publisher = new Publisher(connection, { stream: 'EVENTS', ackMs: 1_000 });
    for (const one of messages) await publish('fast', [one]);
    expect(await stored()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('fast, and the last one is lost: what is before it is there, and it is not known', async () => {
    publisher = new Publisher(
      losing((reply) => reply.endsWith('.3.2.$FI')),
      { stream: 'EVENTS', ackMs: 200 },
    );
    const answer = await publish(
      'fast',
      ['a', 'b', 'c'].map((id) => message(id)),
    );
    expect(answer).toMatchObject({ type: 'unknown', error: { code: 'ER4016' } });
    expect(await stored()).toEqual(['a', 'b']);
  });
});
