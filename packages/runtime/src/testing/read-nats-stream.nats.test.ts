import { setTimeout as sleep } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { expect, inject, test } from 'vitest';
import { NatsServer } from './nats-server.ts';
import { NatsStreamWatch } from './nats-stream-watch.ts';
import { readNatsStream } from './read-nats-stream.ts';

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
