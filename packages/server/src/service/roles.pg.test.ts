import { EgressGuard, Endpoints, SecretBox } from '@event-runtime/runtime';
import { createMigratedDatabase, freePort, type MigratedDatabase } from '@event-runtime/runtime/testing';
import { WebhookReceiver } from '@event-runtime/simulators';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import type { Readiness } from '../health/readiness.ts';
import { Program } from '../program.suite.ts';

const key = SecretBox.newKey();

/** What is stored of the work of the processes. */
interface Stored {
  /** Leases that are held, without the signs of life. */
  readonly leases: readonly string[];
  /** Of the slots of this database: whether each is read. */
  readonly slots: readonly boolean[];
  readonly deliveries: number;
  /** Until when the deliverer's lease goes; it moves while the deliverer lives. */
  readonly delivererUntil: string | null;
}

/** A database with an endpoint at a receiver, for processes that share it. */
class Site implements AsyncDisposable {
  readonly receiver: WebhookReceiver;
  readonly #database: MigratedDatabase;
  readonly #pool: pg.Pool;
  readonly #stack: AsyncDisposableStack;

  private constructor(parts: {
    readonly database: MigratedDatabase;
    readonly receiver: WebhookReceiver;
    readonly pool: pg.Pool;
    readonly stack: AsyncDisposableStack;
  }) {
    this.#database = parts.database;
    this.receiver = parts.receiver;
    this.#pool = parts.pool;
    this.#stack = parts.stack;
  }

  static async create(): Promise<Site> {
    const stack = new AsyncDisposableStack();
    const database = stack.use(await createMigratedDatabase(inject('postgres')['18']));
    const receiver = stack.use(await WebhookReceiver.start());
    const pool = new pg.Pool({ connectionString: database.url, max: 2 });
    pool.on('error', () => undefined);
    stack.defer(async () => await pool.end());
    const guard = new EgressGuard({ allow: ['127.0.0.0/8'] });
    const endpoints = new Endpoints({ pool, secretBox: new SecretBox([key]), guard });
    await endpoints.create({ tenantId: 'acme', url: receiver.url, eventTypes: ['*'] });
    return new Site({ database, receiver, pool, stack });
  }

  /** `start --roles …`, ready; ended at dispose. */
  async start(role: 'relay' | 'webhooks'): Promise<Replica> {
    const port = await freePort();
    const program = this.#stack.use(
      new Program(['start', '--roles', role, '--no-config'], {
        env: {
          DATABASE_URL: this.#database.url,
          EVENT_RUNTIME_RELAY_NAME: `relay_${this.#database.name}`,
          EVENT_RUNTIME_RELAY_UNBOUNDED_WAL: 'warn',
          // No machine stands still for so long: who loses it delivers again.
          EVENT_RUNTIME_LEASE: '12s',
          EVENT_RUNTIME_EGRESS_ALLOW: '127.0.0.0/8',
          EVENT_RUNTIME_HTTP_PORT: String(port),
          // A relay alone needs no keys.
          ...(role === 'webhooks' && { EVENT_RUNTIME_SECRET_KEY: key }),
        },
      }),
    );
    await program.logs('service.started');
    return new Replica(program, port);
  }

  async emit(type: string): Promise<void> {
    await this.#pool.query("select event_runtime.emit($1, '{}', tenant_id => 'acme', entity_key => 'e')", [
      type,
    ]);
  }

  async stored(): Promise<Stored> {
    const { rows } = await this.#pool.query<Stored>(
      `select
         array(select l.sink from event_runtime.relay_lease l
                where l.sink not like '@%' and l.expires_at > clock_timestamp() order by 1) as leases,
         array(select s.active from pg_replication_slots s where s.database = current_database()) as slots,
         (select count(*)::int from event_runtime.webhook_delivery) as deliveries,
         (select l.expires_at::text from event_runtime.relay_lease l where l.sink = '#webhooks') as "delivererUntil"`,
    );
    return rows[0] as Stored;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

class Replica {
  readonly #program: Program;
  readonly #port: number;

  constructor(program: Program, port: number) {
    this.#program = program;
    this.#port = port;
  }

  /** As it is once it is ready: where the database has not answered in time, it is not. */
  async ready(): Promise<Readiness> {
    return await eventually(
      async () => (await (await fetch(`http://127.0.0.1:${this.#port}/readyz`)).json()) as Readiness,
      ({ ready }) => ready,
    );
  }

  /** In peace: it finishes what it has begun. @returns its exit code */
  async stop(): Promise<number | null> {
    this.#program.kill('SIGTERM');
    return await this.#program.exit();
  }
}

test('a process of each role: the relay captures and posts nothing, the deliverer posts and captures nothing', async () => {
  await using site = await Site.create();
  const until = async (wanted: (now: Stored) => boolean): Promise<Stored> =>
    await eventually(async () => await site.stored(), wanted);

  const first = await site.start('relay');
  for (const [n, type] of ['first', 'second'].entries()) {
    await site.emit(type);
    await until(({ deliveries }) => deliveries === n + 1);
  }
  // Reading the WAL, it has been here for longer than a deliverer needs for its lease.
  const alone = await until(({ slots, leases }) => slots.includes(true) && leases.length > 0);
  expect(alone).toMatchObject({ leases: ['*'], delivererUntil: null });
  expect(await first.ready()).toMatchObject({ roles: ['relay'], holds: ['*'] });
  expect(await first.stop()).toBe(0);
  expect(site.receiver.requests).toEqual([]);
  expect(await site.stored()).toMatchObject({ deliveries: 2, leases: [] });

  const webhooks = await site.start('webhooks');
  await until(({ deliveries }) => deliveries === 0);
  const types = (): string[] => site.receiver.requests.map(({ headers }) => headers['ce-type'] ?? '');
  expect(types()).toEqual(['first', 'second']);
  await site.emit('third');
  // A relay looks for a free lease more often than this one is renewed.
  for (let renewals = 0, last = ''; renewals < 4; renewals += 1) {
    last = (await until(({ delivererUntil }) => delivererUntil !== last)).delivererUntil ?? '';
  }
  expect(await site.stored()).toMatchObject({ leases: ['#webhooks'], slots: [false], deliveries: 0 });
  expect(await webhooks.ready()).toMatchObject({
    roles: ['webhooks'],
    holds: [],
    standby: false,
  });
  expect(types()).toEqual(['first', 'second']);

  const second = await site.start('relay');
  await eventually(
    async () => types(),
    ({ length }) => length === 3,
  );
  expect(types()).toEqual(['first', 'second', 'third']);
  const both = await until(({ slots, leases }) => slots.includes(true) && leases.length > 1);
  expect(both.leases).toEqual(['#webhooks', '*']);
  expect([await second.stop(), await webhooks.stop()]).toEqual([0, 0]);
});
