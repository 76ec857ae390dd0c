import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMigratedDatabase, freePort, NatsServer } from '@event-runtime/runtime/testing';
import { CertificateAuthority, NatsOperator } from '@event-runtime/simulators';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator } from '@nats-io/transport-node';
import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import type { Readiness } from '../health/readiness.ts';
import type { Check } from '../operations/check.ts';
import { Program } from '../program.suite.ts';

const program = inject('natsServer');
const operator = new NatsOperator();
const authority = new CertificateAuthority('the authority');
const [expired, valid] = [
  operator.credentials({ until: new Date(Date.now() - 3_600_000) }),
  operator.credentials(),
];

/** Tenant, type, key, and the bytes of a text that is the payload. */
const hostile = [
  ['a.b > *', 'type with spaces', 'k'.repeat(500), 10],
  ['acme', 'large', 'one entity', 5_000_000],
  ['acme', 'after it', 'one entity', 10],
  ['last', '*.>', null, 10],
] as const;

interface Message {
  readonly subject: string;
  readonly bytes: number;
}

/** What the stream has, read by a client of the test's own. */
async function messagesIn(server: NatsServer): Promise<Message[]> {
  const connection = await connect({
    servers: server.url,
    authenticator: credsAuthenticator(Buffer.from(valid)),
    tls: { ca: authority.certificate, host: '127.0.0.1' } as { ca: string },
  });
  try {
    const { streams } = await jetstreamManager(connection);
    const { state } = await streams.info('EVENTS');
    const messages: Message[] = [];
    for (let seq = 1; seq <= state.messages; seq += 1) {
      const message = await streams.getMessage('EVENTS', { seq });
      messages.push({ subject: message?.subject ?? '', bytes: message?.data.length ?? 0 });
    }
    return messages;
  } finally {
    await connection.close();
  }
}

describe.skipIf(program === undefined)('the service with a sink into NATS [needs nats-server]', () => {
  test('turned away, log, readyz and doctor say why; once that is mended, odd events arrive or are dead letters', async () => {
    await using database = await createMigratedDatabase(inject('postgres')['18']);
    const sql = await database.connect();
    await using stack = new AsyncDisposableStack();
    const cwd = await mkdtemp(join(tmpdir(), 'event-runtime-nats-service-'));
    stack.defer(async () => await rm(cwd, { recursive: true }));
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(cwd, name), text);
      return join(cwd, name);
    };
    const identity = authority.issue({ hosts: ['127.0.0.1'] });
    const [certificate, key] = [
      await file('server.pem', identity.certificate),
      await file('server.key', identity.key),
    ];
    const configuration = `${operator.configuration}\ntls { cert_file: "${certificate}", key_file: "${key}" }`;
    const server = stack.use(await NatsServer.start({ program: program!, configuration }));
    const port = await freePort();
    const servers = [`tls://127.0.0.1:${server.port}`];
    const ca = await file('ca.pem', new CertificateAuthority('another one').certificate);
    const credentials = await file('nats.creds', expired);
    await file(
      'event-runtime.config.json',
      JSON.stringify({
        databaseUrl: 'env:DATABASE_URL',
        roles: ['relay'],
        sinks: [
          {
            ...{ type: 'nats', name: 'nats', servers, stream: { name: 'EVENTS' } },
            subject: 'events.<ecosystem>.<tenant>.<type>.<key>',
            access: { credentials: `file:${credentials}` },
            tls: { ca: `file:${ca}` },
          },
        ],
        relay: { source: 'table', pollMs: 20 },
        http: { port },
      }),
    );
    const options = { env: { DATABASE_URL: database.url }, cwd };
    let told = '';
    const doctor = async (): Promise<Check | undefined> => {
      await using asked = new Program(['doctor', '--json'], options);
      await asked.exit();
      told += asked.out + asked.errors;
      const { checks } = JSON.parse(asked.out) as { readonly checks: readonly Check[] };
      return checks.find(({ code }) => code === 'ER4014');
    };
    const service = stack.use(new Program(['start'], options));
    await service.logs('service.started');
    for (const [tenant, type, entity, bytes] of hostile) {
      const emit = 'select from event_runtime.emit($1, $2, tenant_id => $3, entity_key => $4)';
      await sql.query(emit, [type, JSON.stringify('x'.repeat(bytes - 2)), tenant, entity]);
    }
    const attention = async (): Promise<Readiness['attention']> => {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      return ((await answer.json()) as Readiness).attention;
    };
    const turnedAway = async (why: string): Promise<void> => {
      await service.says('out', why);
      const seen = expect.stringContaining(why) as string;
      expect(await doctor()).toMatchObject({ state: 'warn', name: 'sink nats', seen });
      expect(await attention()).toEqual([expect.objectContaining({ code: 'ER4014' })]);
    };

    await turnedAway('unable to verify');
    await file('ca.pem', authority.certificate);
    await turnedAway('Authorization Violation. The credentials ended at ');
    await file('nats.creds', valid);

    await eventually(attention, (left) => left.length === 0);
    const messages = await eventually(
      async () => await messagesIn(server).catch((): Message[] => []),
      (found) => found.length >= hostile.length - 1,
    );
    expect(messages).toEqual([
      { subject: `events.~.a%2Eb%20%3E%20%2A.type%20with%20spaces.${'k'.repeat(500)}`, bytes: 10 },
      { subject: 'events.~.acme.after%20it.one%20entity', bytes: 10 },
      { subject: 'events.~.last.%2A.%3E.~', bytes: 10 },
    ]);
    const dead = await sql.query(
      'select event_type, sink, reason, length(payload::text) as bytes from event_runtime.dead_letter',
    );
    const reason = expect.stringMatching(
      /it has 5000\d{3} bytes, the server takes at most 1048576$/,
    ) as string;
    expect(dead.rows).toEqual([{ event_type: 'large', sink: 'nats', reason, bytes: 5_000_000 }]);
    expect(await doctor()).toMatchObject({ state: 'ok' });

    service.kill('SIGTERM');
    expect(await service.exit()).toBe(0);
    told += service.out + service.errors;
    // A token and a seed in each.
    const secrets = [expired, valid].flatMap((text) => text.match(/^[\w.-]{50,}$/gm) ?? []);
    expect(secrets).toHaveLength(4);
    for (const secret of secrets) expect(told).not.toContain(secret);
  });
});
