import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { jetstreamManager, type StreamAPI, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { describe, expect, inject, test } from 'vitest';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { NatsServer } from '../../testing/nats-server.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import { HeaderWriter } from './header-writer.ts';
import { sizeOf } from './message-size.ts';
import { natsHeaders } from './nats-envelope.ts';
import { NatsSink, type NatsSinkOptions } from './nats-sink.ts';

const program = inject('natsServer');
const { signal } = new AbortController();
const admin = { user: 'admin', pass: 'admin' };

function sinkTo(server: NatsServer, options: Partial<NatsSinkOptions> = {}): NatsSink {
  const known = { name: 'nats', servers: [server.url], stream: { name: 'EVENTS' }, retryAfterMs: 20 };
  return new NatsSink({ ...known, ...options });
}

async function withStreams<T>(server: NatsServer, use: (streams: StreamAPI) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: server.url, ...admin });
  try {
    return await use((await jetstreamManager(connection)).streams);
  } finally {
    await connection.close();
  }
}

async function stored(server: NatsServer): Promise<number> {
  return await withStreams(server, async (streams) => (await streams.info('EVENTS')).state.messages);
}

function userWith(permissions: string): string {
  return `authorization { users = [
    {user: admin, password: admin}
    {user: relay, password: relay, permissions: ${permissions}}
  ] }`;
}

const access = async (): Promise<{ user: string; password: string }> => ({
  user: 'relay',
  password: 'relay',
});

describe.skipIf(program === undefined)('what a user may not [needs nats-server]', () => {
  test('a subject that may not be published: its events wait with the reason, all others go at once', async () => {
    const configuration = userWith('{publish: {deny: ["events.bad.>"]}}');
    await using server = await NatsServer.start({ program: program!, configuration });
    // No answer is waited for that will not come.
    await using sink = sinkTo(server, { access, ackMs: 3_600_000 });
    const make = new ConformanceEvents();
    const of = (tenantId: string, entityKey: string) => make.make({ tenantId, entityKey });
    const events = [of('good', 'k'), of('good', 'k'), of('bad', 'b'), of('bad', 'b'), of('good', 'alone')];
    const results = await sink.deliver(batchOf(events), { signal });
    expect(results.map(({ type }) => type)).toEqual([
      'delivered',
      'delivered',
      'retry',
      'retry',
      'delivered',
    ]);
    const [error] = results.flatMap((result) => (result.type === 'retry' ? [result.error] : []));
    expect(error).toMatchObject({
      code: 'ER4016',
      message: expect.stringMatching(/for events\.<tenant>\.<type>: Permissions Violation/),
    });
    // Logs and `/readyz` have it, and anybody may read these.
    expect(inspect(error)).not.toContain('events.bad');
    expect(await stored(server)).toBe(3);
  });

  test.each([
    ['look the stream up', '', false],
    ['make the stream', ', "$JS.API.STREAM.CREATE.EVENTS"', true],
  ])('least rights: to publish, to %s, and to be answered', async (_what, more, make) => {
    const publish = `{allow: ["events.>", "$JS.API.STREAM.INFO.EVENTS"${more}]}`;
    const least = `{publish: ${publish}, subscribe: {allow: ["_INBOX.>"]}}`;
    await using server = await NatsServer.start({ program: program!, configuration: userWith(least) });
    const stream = { name: 'EVENTS', subjects: ['events.>'] };
    if (!make) await withStreams(server, (streams) => streams.add(stream));
    await using sink = sinkTo(server, { access });
    const events = new ConformanceEvents().many(3, { entities: 1 });
    const { rejected, failures } = await handOver(sink, events, { signal, batch: 3 });
    expect([rejected.size, failures]).toEqual([0, 0]);
  });

  test.each([
    '{publish: {allow: ["events.>"]}, subscribe: {allow: ["_INBOX.>"]}}',
    '{publish: {allow: [">"]}, subscribe: {deny: ["_INBOX.>"]}}',
  ])('less than that is ER4015 with the reason: %s', async (permissions) => {
    await using server = await NatsServer.start({ program: program!, configuration: userWith(permissions) });
    await using sink = sinkTo(server, { access });
    const delivering = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
    const message = expect.stringMatching(/Permissions Violation/) as string;
    await expect(delivering).rejects.toMatchObject({ code: 'ER4015', message });
  });
});

describe.skipIf(program === undefined)('what changes meanwhile [needs nats-server]', () => {
  test('a stream that is deleted is made again', async () => {
    await using server = await NatsServer.start({ program: program! });
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    await handOver(sink, [make.make()], { signal, batch: 1 });
    await withStreams(server, (streams) => streams.delete('EVENTS'));
    const events = make.many(6, { entities: 2 });
    await handOver(sink, events, { signal, batch: 6 });
    expect(await stored(server)).toBe(6);
  });

  test('a stream that takes no batches any more gets none, and that it is slow is said', async () => {
    await using server = await NatsServer.start({ program: program! });
    const said: string[] = [];
    await using sink = sinkTo(server, { onConcern: ({ property }) => void said.push(property) });
    const make = new ConformanceEvents();
    await handOver(sink, make.many(6, { entities: 2 }), { signal, batch: 6 });
    const noBatches = { allow_atomic: false, allow_batched: false };
    await withStreams(server, (streams) => streams.update('EVENTS', noBatches));
    for (let round = 0; round < 2; round += 1) {
      const results = await sink.deliver(batchOf(make.many(6, { entities: 2 })), { signal });
      expect(results.every(({ type }) => type === 'delivered')).toBe(true);
    }
    expect([said, await stored(server)]).toEqual([['allow_atomic'], 18]);
  });

  test('a stream that is sealed: ER4015', async () => {
    await using server = await NatsServer.start({ program: program! });
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    await handOver(sink, [make.make()], { signal, batch: 1 });
    const sealed = { sealed: true } as Partial<StreamConfig>;
    await withStreams(server, (streams) => streams.update('EVENTS', sealed));
    const first = await sink.deliver(batchOf([make.make()]), { signal });
    expect(first[0]).toMatchObject({ type: 'retry', error: { code: 'ER4016' } });
    const next = sink.deliver(batchOf([make.make()]), { signal });
    await expect(next).rejects.toMatchObject({ code: 'ER4015', message: expect.stringMatching(/sealed/) });
  });

  test('a limit that was raised holds: nothing is a dead letter by the one before', async () => {
    await using server = await NatsServer.start({ program: program! });
    const config = { name: 'EVENTS', subjects: ['events.>'], max_msg_size: 2_000 };
    await withStreams(server, (streams) => streams.add(config));
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    const large = () => make.make({ payload: Buffer.alloc(5_000, '1') });
    const before = await sink.deliver(batchOf([large()]), { signal });
    expect(before[0]).toMatchObject({ type: 'rejected' });
    await withStreams(server, (streams) => streams.update('EVENTS', { max_msg_size: 20_000 }));
    await sleep(1_100);
    const { rejected } = await handOver(sink, [large()], { signal, batch: 1 });
    expect([rejected.size, await stored(server)]).toEqual([0, 1]);
  });
});

describe.skipIf(program === undefined)('what can never be stored [needs nats-server]', () => {
  test('headers above 64 KiB are a dead letter with its reason, and stop no other', async () => {
    await using server = await NatsServer.start({ program: program! });
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    const headers = JSON.stringify({ a: '日'.repeat(7_300) });
    const results = await sink.deliver(batchOf([make.make({ headers }), make.make()]), { signal });
    const reason = expect.stringMatching(
      /^its headers have \d+ bytes, JetStream takes at most 65535$/,
    ) as string;
    expect(results).toEqual([{ type: 'rejected', reason }, { type: 'delivered' }]);
  });

  test('a message that fits only outside of an atomic batch goes outside of it', async () => {
    await using server = await NatsServer.start({ program: program! });
    const config = { name: 'EVENTS', subjects: ['events.>'], max_msg_size: 2_000, allow_atomic: true };
    await withStreams(server, (streams) => streams.add(config));
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    // Headers and payload, as the server counts them.
    const ofSize = (bytes: number): LoggedEvent => {
      const { event } = make.make({ entityKey: 'k' });
      const headers = natsHeaders(event, { stream: 'EVENTS', writer: new HeaderWriter() });
      const { all } = sizeOf({ subject: '', headers, payload: Buffer.alloc(0) });
      return make.make({ entityKey: 'k', payload: Buffer.alloc(bytes - all, '1') });
    };
    const sizes = [2_000, 500, 2_001, 500];
    const { rejected } = await handOver(sink, sizes.map(ofSize), { signal, batch: 4 });
    expect([...rejected.values()]).toEqual([expect.stringMatching(/it has 2001 bytes/)]);
    expect(await stored(server)).toBe(3);
  });

  test('one that may not be published, among so many that all go as one batch, stops no other', async () => {
    const configuration = userWith('{publish: {deny: ["events.bad.>"]}}');
    await using server = await NatsServer.start({ program: program!, configuration });
    await using sink = sinkTo(server, { access, ackMs: 3_600_000 });
    const make = new ConformanceEvents();
    const known = make.many(100, { entities: 100, name: 'known' });
    const bad = make.make({ tenantId: 'bad', entityKey: 'b' });
    const others = make.many(899, { entities: 899 });
    await sink.deliver(batchOf(known), { signal });
    // A hundred of them are stored already, as after a crash.
    const results = await sink.deliver(batchOf([...known, bad, ...others]), { signal });
    expect(results.map(({ type }) => type)).toEqual(
      [...known, bad, ...others].map((each) => (each === bad ? 'retry' : 'delivered')),
    );
    expect(await stored(server)).toBe(999);
    const next = make.many(1_000, { entities: 1_000, name: 'next' });
    await sink.deliver(batchOf(next), { signal });
    expect(await stored(server)).toBe(1_999);
  });

  test('a message that the server ends the connection over is a dead letter, and all others arrive', async () => {
    const configuration = 'max_control_line: 1024';
    await using server = await NatsServer.start({ program: program!, configuration });
    await using sink = sinkTo(server);
    const make = new ConformanceEvents();
    const long = make.make({ eventType: 'é'.repeat(200), tenantId: 'x' });
    const events = [...make.many(20, { entities: 3 }), long, ...make.many(20, { entities: 3 })];
    const { rejected } = await handOver(sink, events, { signal, batch: 100 });
    expect([...rejected]).toEqual([
      [
        long.event.eventId,
        expect.stringMatching(/^the server ended the connection over it: .*control line/i),
      ],
    ]);
    expect(await stored(server)).toBe(40);
  });
});

describe.skipIf(program === undefined)('which streams will do [needs nats-server]', () => {
  test('one that takes what routes name need not take the default', async () => {
    await using server = await NatsServer.start({ program: program! });
    await withStreams(server, (streams) => streams.add({ name: 'EVENTS', subjects: ['done.>'] }));
    await using sink = sinkTo(server, { routedSubjects: ['done.<tenant>'] });
    const make = new ConformanceEvents();
    const events = [{ ...make.make(), subject: 'done.<tenant>' }, make.make()];
    const results = await sink.deliver({ ...batchOf([]), events }, { signal });
    const message = expect.stringMatching(
      /for events\.<tenant>\.<type>: no stream takes the subject/,
    ) as string;
    expect(results).toMatchObject([{ type: 'delivered' }, { type: 'retry', error: { message } }]);
  });

  test('one that copies others and has no subjects is refused with its reason', async () => {
    await using server = await NatsServer.start({ program: program! });
    await withStreams(server, async (streams) => {
      await streams.add({ name: 'OTHER', subjects: ['other.>'] });
      await streams.add({ name: 'EVENTS', sources: [{ name: 'OTHER' }] });
    });
    await using sink = sinkTo(server);
    const delivering = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
    const message = expect.stringMatching(/its subjects \(none\)/) as string;
    await expect(delivering).rejects.toMatchObject({ code: 'ER4015', message });
  });

  test('one that keeps events for less than two minutes is made', async () => {
    await using server = await NatsServer.start({ program: program! });
    await using sink = sinkTo(server, { stream: { name: 'EVENTS', maxAgeMs: 60_000 } });
    await handOver(sink, [new ConformanceEvents().make()], { signal, batch: 1 });
    const { config } = await withStreams(server, (streams) => streams.info('EVENTS'));
    expect(config.duplicate_window).toBe(60_000_000_000);
  });
});
