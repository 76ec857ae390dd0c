import { setTimeout as sleep } from 'node:timers/promises';
import {
  ConsumerSink,
  dropSlot,
  EgressGuard,
  Endpoints,
  forgetCheckpoints,
  type MigrateResult,
  migrate,
  type Relay,
  SecretBox,
} from '@event-runtime/runtime';
import pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { configurationWith } from '../config/load-configuration.ts';
import { runUntil } from '../service/run-until.ts';
import { createService } from '../service/service.ts';
import { type DevDatabase, devDatabase } from './dev-database.ts';
import { lockDev } from './dev-lock.ts';
import { EchoReceiver } from './echo-receiver.ts';
import { Journeys, journeyLine } from './journey.ts';
import { TenantEndpoints } from './tenant-endpoints.ts';
import { terminalLogger } from './terminal-logger.ts';

/** The slot of `dev`. Its name is known in the whole cluster, so one `dev` runs there at a time. */
const slot = 'event_runtime_dev';

/**
 * `event-runtime dev`: PostgreSQL (embedded, or DATABASE_URL), schema, relay, webhooks and a receiver that
 * verifies, with a line for each event. What it set up in a database that stays is taken away at the end:
 * the slot above all, for a slot that nobody reads fills the disk.
 */
export async function devCommand(context: CommandContext): Promise<ExitCode> {
  const { signal } = context;
  await using database = await devDatabase(context.env['DATABASE_URL']);
  signal.throwIfAborted();
  const migrated = await migrate({ connectionString: database.url, signal });
  await using alone = await lockedPool(database.url, signal);
  await using receiver = await EchoReceiver.start();
  await clearLeftovers(alone.pool);
  await runDev(context, { database, receiver, pool: alone.pool, migrated });
  return exitCode.ok;
}

interface DevSite {
  readonly database: DevDatabase;
  readonly receiver: EchoReceiver;
  readonly pool: pg.Pool;
  readonly migrated: MigrateResult;
}

async function runDev(context: CommandContext, site: DevSite): Promise<void> {
  const { terminal, json, signal } = context;
  const configuration = configurationWith({
    databaseUrl: site.database.url,
    secretKeys: [SecretBox.newKey()],
    'relay.name': slot,
    'relay.unboundedWal': 'warn',
    'webhooks.egressAllow': ['127.0.0.0/8'],
    'webhooks.retryDelays': [1_000, 2_000, 5_000],
    'http.port': 0,
  });
  const endpoints = new TenantEndpoints({
    endpoints: new Endpoints({
      pool: site.pool,
      secretBox: new SecretBox(configuration.secretKeys),
      guard: new EgressGuard({ allow: configuration.webhooks.egressAllow }),
    }),
    receiver: site.receiver,
  });
  const journeys = new Journeys();
  const logger = terminalLogger(terminal);
  await using service = createService({
    configuration,
    logger,
    sinks: [
      {
        name: 'dev',
        create: () => new ConsumerSink({ name: 'dev', handle: (event) => journeys.captured(event) }),
      },
    ],
    wrapWebhooks: (sink) => endpoints.before(sink),
    observe: (observation) => {
      const journey = journeys.attempted(observation);
      terminal.out(json ? JSON.stringify(journey) : journeyLine(journey, terminal));
    },
  });
  try {
    await runUntil(service.supervisor, {
      signal,
      logger,
      onReady: async () => {
        await reachWal(service.relay, signal);
        banner(context, site);
        if (site.database.embedded) await emitExample(site.pool);
      },
    });
  } finally {
    await cleanUp(site.pool, endpoints);
  }
  if (!json) terminal.out('  stopped; slot, checkpoints and endpoints of this run are removed');
}

/** An event's phases are known from the WAL. What is emitted before the sinks read that is shown without them. */
async function reachWal(relay: Relay, signal: AbortSignal): Promise<void> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
  while (!patience.aborted) {
    const { status } = relay;
    if (status.length > 0 && status.every(({ mode }) => mode === 'live')) return;
    await sleep(20);
  }
}

function banner(context: CommandContext, site: DevSite): void {
  const { terminal, json } = context;
  if (json) {
    // A URL that was given is known to whoever gave it, and has a password.
    const databaseUrl = site.database.embedded ? site.database.url : null;
    terminal.out(JSON.stringify({ type: 'ready', databaseUrl, slot, echo: site.receiver.origin }));
    return;
  }
  const { colors } = terminal;
  const rows = [
    ['Postgres', site.database.description],
    [
      'Schema',
      `event_runtime v${site.migrated.version}, ${site.migrated.applied.length} migrations applied now`,
    ],
    ['Relay', `slot ${slot}; dropped when this ends`],
    ['Webhooks', `${site.receiver.origin}, verifies every signature, one endpoint for each tenant`],
    ['Connect', `DATABASE_URL=${site.database.embedded ? site.database.url : '(yours)'}`],
  ] as const;
  terminal.out(`\n  ${colors.bold('event-runtime')}  ·  dev\n`);
  for (const [name, value] of rows) terminal.out(`  ${colors.dim(name.padEnd(10))} ${value}`);
  const call = `select event_runtime.emit('order.placed', '{"total": 990}', tenant_id => 'acme', entity_key => 'order-1');`;
  terminal.out(`\n  Emit one:  ${colors.cyan(call)}`);
  terminal.out(
    `  ${colors.dim('Ctrl-C ends it. Each line below is one delivery; times in milliseconds.')}\n`,
  );
}

/** Something to see at once, in a database that is empty. */
async function emitExample(pool: pg.Pool): Promise<void> {
  await pool.query(
    `select event_runtime.emit('dev.started', '{"hello": "world"}', tenant_id => 'acme', entity_key => 'dev')`,
  );
}

async function cleanUp(pool: pg.Pool, endpoints: TenantEndpoints): Promise<void> {
  await dropSlot(pool, { slot, terminateReader: true });
  await forgetCheckpoints(pool, slot);
  await endpoints.remove();
}

/** What a `dev` that was killed left behind, and what stays of a slot that was dropped by hand since. */
async function clearLeftovers(pool: pg.Pool): Promise<void> {
  await TenantEndpoints.clear(pool);
  const { rowCount } = await pool.query('select from pg_catalog.pg_replication_slots where slot_name = $1', [
    slot,
  ]);
  if (rowCount === 0) await forgetCheckpoints(pool, slot);
  // Of one that was killed: the lock says that no other one lives.
  else await pool.query('delete from event_runtime.relay_lease where relay = $1', [slot]);
}

/** The pool, and that no other `dev` runs on this database. */
async function lockedPool(
  connectionString: string,
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly pool: pg.Pool }> {
  const lock = await lockDev(connectionString, { slot, signal });
  const pool = new pg.Pool({ connectionString, max: 2 });
  pool.on('error', () => undefined);
  return {
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end();
      await lock[Symbol.asyncDispose]();
    },
  };
}
