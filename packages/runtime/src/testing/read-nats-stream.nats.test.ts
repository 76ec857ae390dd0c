import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { expect, inject, test } from 'vitest';
import { NatsServer } from './nats-server.ts';
import { NatsStreamWatch } from './nats-stream-watch.ts';
import { limitNatsMessages, readNatsStream } from './read-nats-stream.ts';

const program = inject('natsServer');

test.skipIf(program === undefined)(
  'a stream is read with what its messages say and when they were stored; a watch sees them come, of a stream that was made after it too [needs nats-server]',
  async () => {
    await using server = await NatsServer.start({ program: program! });
    await using watch = await NatsStreamWatch.start([server.url], 'LATE');
    expect(await readNatsStream([server.url], 'LATE')).toEqual([]);
    const connection = await connect({ servers: server.url });
    try {
      const { streams } = await jetstreamManager(connection);
      await streams.add({ name: 'LATE', subjects: ['late.>'] });
      const before = performance.timeOrigin + performance.now();
      for (const id of ['a', 'b', 'a']) {
        const given = headers();
        given.set('ce-id', `${id} ${encodeURIComponent('ção')}`);
        // The third is refused as a duplicate: a stream has no third message.
        given.set('Nats-Msg-Id', id);
        await jetstream(connection).publish(`late.${id}`, `body of ${id}`, { headers: given });
      }
      const [first, second, ...others] = await readNatsStream([server.url], 'LATE');
      expect(others).toEqual([]);
      expect(first).toMatchObject({ attributes: { id: 'a ção' }, subject: 'late.a', messageId: 'a' });
      expect(second).toMatchObject({ subject: 'late.b', messageId: 'b', data: Buffer.from('body of b') });
      // A millisecond for two clocks that do not count alike.
      expect(first!.storedAt).toBeGreaterThan(before - 1);
      expect(second!.storedAt).toBeGreaterThan(first!.storedAt);
      while (watch.distinct < 2) await sleep(5);
      expect([watch.has('a'), watch.has('b'), watch.has('c')]).toEqual([true, true, false]);
      expect(watch.lastAt).toBeGreaterThan(0);
    } finally {
      await connection.close();
    }
  },
);

test.skipIf(program === undefined)(
  "a stream's limit of a message's size is changed, and nothing else of it; without a stream or a server that is said [needs nats-server]",
  async () => {
    await using server = await NatsServer.start({ program: program! });
    const servers = [server.url];
    expect(await limitNatsMessages(servers, { stream: 'SMALL', bytes: 64 })).toBe(false);
    const connection = await connect({ servers: server.url });
    try {
      const { streams } = await jetstreamManager(connection);
      const { config: before } = await streams.add({
        name: 'SMALL',
        subjects: ['small.>'],
        max_msgs: 10,
        duplicate_window: 60_000_000_000,
      });
      const send = async (): Promise<number> =>
        (await jetstream(connection).publish('small.a', 'x'.repeat(65))).seq;
      expect(await limitNatsMessages(servers, { stream: 'SMALL', bytes: 64 })).toBe(true);
      expect((await streams.info('SMALL')).config).toEqual({ ...before, max_msg_size: 64 });
      await expect(send()).rejects.toThrow('message size exceeds maximum allowed');
      expect(await limitNatsMessages(servers, { stream: 'SMALL', bytes: -1 })).toBe(true);
      expect((await streams.info('SMALL')).config).toEqual(before);
      expect(await send()).toBe(1);
    } finally {
      await connection.close();
    }
    await server.stop();
    expect(await limitNatsMessages(servers, { stream: 'SMALL', bytes: 64 })).toBe(false);
  },
);
