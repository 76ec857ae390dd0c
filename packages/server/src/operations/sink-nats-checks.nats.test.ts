import { freePort, NatsServer } from '@event-runtime/runtime/testing';
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ConfiguredNats } from '../config/configured-sink.ts';
import type { Check } from './check.ts';
import { sinkNatsChecks } from './sink-nats-checks.ts';

const program = inject('natsServer');

describe.skipIf(program === undefined)('what doctor says of a sink into NATS [needs nats-server]', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start({ program: program!, configuration: 'authorization { token: s3cret }' });
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
  });

  async function checks(
    stream: ConfiguredNats<number>['stream'],
    more: Partial<ConfiguredNats<number>> = {},
  ): Promise<readonly Check[]> {
    const sink: ConfiguredNats<number> = {
      ...{ type: 'nats', name: 'nats', servers: [server.url], stream },
      access: { token: 'env:NATS_TOKEN' },
      ...more,
    };
    return await sinkNatsChecks([sink], { routes: undefined, env: { NATS_TOKEN: 's3cret', WRONG: 'wr0ng' } });
  }

  async function make(config: Partial<StreamConfig> & { readonly name: string }): Promise<void> {
    const connection = await connect({ servers: server.url, token: 's3cret' });
    try {
      await (await jetstreamManager(connection)).streams.add({ subjects: [`${config.name}.>`], ...config });
    } finally {
      await connection.close();
    }
  }

  test('a stream that is not there: the relay makes it, or it is missing', async () => {
    expect(await checks({ name: 'NEW' })).toMatchObject([
      { state: 'ok', code: 'ER4014', seen: expect.stringContaining('the relay makes it') as string },
    ]);
    expect(await checks({ name: 'NEW', create: false })).toMatchObject([{ state: 'fail', code: 'ER4015' }]);
  });

  test('a safe one, and one by which events may be lost, with what mends it', async () => {
    await make({ name: 'SAFE', allow_atomic: true });
    expect(await checks({ name: 'SAFE' }, { subject: 'SAFE.<tenant>' })).toMatchObject([
      { state: 'ok', seen: expect.stringContaining('nothing against it') as string },
      { state: 'ok', name: 'sink nats, durability' },
      { state: 'ok', name: 'sink nats, limits' },
    ]);
    await make({ name: 'RISKY', storage: 'memory', duplicate_window: 1_000_000_000, allow_atomic: true });
    const found = await checks({ name: 'RISKY', replicas: 3 }, { subject: 'RISKY.<tenant>' });
    expect(found.map(({ state, code, seen }) => `${state} ${code} ${seen.split(' ')[0]}`)).toEqual([
      'ok ER4014 stream',
      'warn ER4018 storage',
      'warn ER4018 duplicate_window',
      'warn ER4018 num_replicas',
      'ok ER4018 kept',
      'ok ER4018 nothing',
    ]);
    expect(found.map(({ fix }) => fix)).toContain('nats stream edit RISKY --dupe-window=2m');
  });

  test('what keeps it, and what bounds it', async () => {
    await make({ name: 'PLAIN', allow_atomic: true });
    const plain = await checks({ name: 'PLAIN' }, { subject: 'PLAIN.<tenant>' });
    expect(plain.slice(1).map(({ state, seen }) => `${state}: ${seen}`)).toEqual([
      'ok: kept by 1 server: a power loss may take what it acknowledged since its last fsync (every 2 min, unless its ' +
        'sync_interval says otherwise); sync_interval: always, or 3 replicas, prevent that; an event that is sent again ' +
        'within 2 min is there once',
      'ok: nothing is too old; room without a bound of its own; a message above 1.0 MiB becomes a dead letter',
    ]);
    const bounds = { max_age: 3_600_000_000_000, max_bytes: 1_073_741_824, max_msg_size: 2_048 };
    await make({ name: 'FULL', allow_atomic: true, ...bounds, max_msgs: 5_000, max_msgs_per_subject: 10 });
    const full = await checks({ name: 'FULL' }, { subject: 'FULL.<tenant>' });
    expect(full.map(({ state, seen }) => `${state}: ${seen.split(':')[0]}`)).toEqual([
      `ok: stream FULL on nats`,
      'warn: discard of the stream FULL is old',
      'ok: kept by 1 server',
      'ok: messages go after 60 min; room for 1.0 GiB, 5,000 messages, 10 of a subject; ' +
        'a full one drops its oldest events, read or not; a message above 2.0 KiB becomes a dead letter',
    ]);
    await make({ name: 'NEWEST', allow_atomic: true, max_bytes: 1_073_741_824, discard: 'new' as never });
    const newest = await checks({ name: 'NEWEST' }, { subject: 'NEWEST.<tenant>' });
    expect(newest.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
    expect(newest.at(-1)?.seen).toContain('a full one takes nothing: events wait in the outbox');
  });

  test('one that cannot take the events', async () => {
    await make({ name: 'OTHER' });
    expect(await checks({ name: 'OTHER' })).toMatchObject([
      { state: 'fail', code: 'ER4015', seen: expect.stringContaining('do not take in events.*.>') as string },
    ]);
  });

  test('nobody there, wrong credentials, a reference that leads nowhere; no secret is shown', async () => {
    const nobody = [`nats://127.0.0.1:${await freePort()}`];
    const found = [
      ...(await checks({ name: 'NEW' }, { servers: nobody })),
      ...(await checks({ name: 'NEW' }, { access: { token: 'env:WRONG' } })),
      ...(await checks({ name: 'NEW' }, { access: { token: 'env:MISSING' } })),
    ];
    expect(found.map(({ state, code }) => `${state} ${code}`)).toEqual([
      ...['warn ER4014', 'warn ER4014', 'fail ER5001'],
    ]);
    expect(JSON.stringify(found)).not.toMatch(/s3cret|wr0ng/);
  });
});
