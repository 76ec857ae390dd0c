import { inspect } from 'node:util';
import { NatsOperator, Nkey } from '@event-runtime/simulators';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { describe, expect, inject, test } from 'vitest';
import { NatsServer } from '../../testing/nats-server.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import type { NatsAccess } from './nats-access.ts';
import { NatsSink } from './nats-sink.ts';

const program = inject('natsServer');
const { signal } = new AbortController();
const options = { signal, batch: 100 };

const operator = new NatsOperator();
const app = new Nkey('user');
const password = 's3cret-password';
const token = 's3cret-token';
const hourAgo = new Date(Date.now() - 3_600_000);

interface Way {
  readonly way: string;
  readonly configuration: string;
  readonly right: readonly NatsAccess[];
  readonly wrong: ReadonlyArray<readonly [access: NatsAccess, says: RegExp]>;
}

const violation = /: Authorization Violation\./;
const ways: readonly Way[] = [
  {
    way: 'a token',
    configuration: `authorization { token: "${token}" }`,
    right: [{ token }],
    wrong: [[{ token: 'wr0ng-token' }, violation]],
  },
  {
    way: 'a user and a password',
    configuration: `authorization { user: app, password: "${password}" }`,
    right: [{ user: 'app', password }],
    wrong: [
      [{ user: 'app', password: 'wr0ng-password' }, violation],
      [{ user: 'app' }, violation],
    ],
  },
  {
    way: 'an nkey',
    configuration: `authorization { users: [{ nkey: ${app.publicKey} }] }`,
    right: [{ nkeySeed: app.seed }, { nkeySeed: `${app.seed}\n` }],
    wrong: [
      [{ nkeySeed: new Nkey('user').seed }, violation],
      [{ nkeySeed: app.publicKey }, /The nkey seed cannot be read as such\./],
    ],
  },
  {
    way: 'credentials',
    configuration: operator.configuration,
    // As they are, as a reference gives them, and as another system may have written them.
    right: [
      { credentials: operator.credentials() },
      { credentials: operator.credentials().trim() },
      { credentials: operator.credentials().replaceAll('\n', '\r\n') },
    ],
    wrong: [
      [{ credentials: new NatsOperator().credentials() }, violation],
      [
        { credentials: operator.credentials({ until: hourAgo }) },
        /: Authorization Violation\. The credentials ended at \d{4}-.*Z\./,
      ],
      [{ credentials: app.seed }, /The credentials cannot be read as such\./],
    ],
  },
];

/** Whatever of it nobody may see. */
function secretsIn({
  token: one = '',
  password: other = '',
  nkeySeed = '',
  credentials = '',
}: NatsAccess): string[] {
  const lines = [one, other, nkeySeed, ...credentials.split(/\s+/)];
  return lines.filter((line) => line.length > 8 && !line.startsWith('-'));
}

describe.skipIf(program === undefined).each(ways)('who may connect by $way [needs nats-server]', (one) => {
  test('may; nobody else, who is told why, without a secret, and may once the secret is right', async () => {
    const { configuration, right, wrong } = one;
    await using server = await NatsServer.start({ program: program!, configuration });
    const make = new ConformanceEvents();
    for (const [given, says] of [[{}, violation] as const, ...wrong]) {
      let access: NatsAccess = given;
      await using sink = new NatsSink({
        name: 'nats',
        servers: [server.url],
        stream: { name: 'EVENTS' },
        access: async () => access,
      });
      for (const attempt of [
        async () => await sink.deliver(batchOf([make.make()]), { signal }),
        async () => await sink.inspect(),
      ]) {
        const refused: unknown = await attempt().catch((error: unknown) => error);
        expect(refused).toMatchObject({ code: 'ER4014', message: expect.stringMatching(says) });
        const shown = inspect(refused, { depth: 9 });
        for (const secret of secretsIn(given)) expect(shown).not.toContain(secret);
      }
      for (access of right) {
        const { rejected, failures } = await handOver(sink, make.many(3, { entities: 1 }), options);
        expect([rejected.size, failures]).toEqual([0, 0]);
        await sink.inspect();
      }
    }
  });
});

describe.skipIf(program === undefined)('rights that change meanwhile [needs nats-server]', () => {
  test('credentials that end: the next batch goes with those that are there by then', async () => {
    const { configuration } = operator;
    await using server = await NatsServer.start({ program: program!, configuration });
    let credentials = operator.credentials({ until: new Date(Date.now() + 10_000) });
    await using sink = new NatsSink({
      name: 'nats',
      servers: [server.url],
      stream: { name: 'EVENTS' },
      access: async () => ({ credentials }),
    });
    const make = new ConformanceEvents();
    await handOver(sink, [make.make()], options);
    expect(await refusalOf(sink, make)).toMatch(/User Authentication Expired/);
    credentials = operator.credentials();
    const { failures } = await handOver(sink, make.many(20, { entities: 3 }), options);
    expect(failures).toBe(0);
  });

  test('a right that the server’s configuration is given while it runs: what waited goes on by itself', async () => {
    const withRights = (rights: string): string => `authorization { users = [
      {user: admin, password: admin}
      {user: app, password: "${password}", permissions: {publish: {allow: [${rights}]}}}
    ] }`;
    const least = '"$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.CREATE.EVENTS"';
    await using server = await NatsServer.start({ program: program!, configuration: withRights(least) });
    await using sink = new NatsSink({
      name: 'nats',
      servers: [server.url],
      stream: { name: 'EVENTS' },
      retryAfterMs: 20,
      access: async () => ({ user: 'app', password }),
    });
    const events = new ConformanceEvents().many(20, { entities: 3 });
    const first = await sink.deliver(batchOf(events), { signal });
    const message = expect.stringMatching(/Permissions Violation/) as string;
    expect(first[0]).toMatchObject({ type: 'retry', error: { code: 'ER4016', message } });
    await server.reload(withRights(`${least}, "events.>"`));
    await handOver(sink, events, options);
    const connection = await connect({ servers: server.url, user: 'admin', pass: 'admin' });
    const { state } = await (await jetstreamManager(connection)).streams.info('EVENTS');
    await connection.close();
    expect(state.messages).toBe(20);
  });
});

/** Hands over one event after another until one is turned away. @returns what is said then */
async function refusalOf(sink: NatsSink, make: ConformanceEvents): Promise<string> {
  for (;;) {
    try {
      const [result] = await sink.deliver(batchOf([make.make()]), { signal });
      if (result?.type === 'retry') return result.error.message;
    } catch (error) {
      return String(error);
    }
  }
}
