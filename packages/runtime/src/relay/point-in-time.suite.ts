import { dirname, join } from 'node:path';
import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { eventually } from '../replication/stream-fixture.suite.ts';
import type { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { fanOut } from './failover.suite.ts';
import { createLedger, type LedgerRow, readLedger, write } from './ledger.suite.ts';
import type { Relay } from './relay.ts';
import { type Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { SteadyWriters } from './steady-writers.suite.ts';

/** Where recovery stops: at a named restore point, at a time, after a transaction. */
export type Target = 'recovery_target_name' | 'recovery_target_time' | 'recovery_target_xid';

/** A moment to go back to. */
export interface Moment {
  readonly settings: Readonly<Record<string, string>>;
  /** By the server's clock, a little later. */
  readonly at: Date;
}

/** A server whose WAL is archived, and that is gone back to an earlier moment of itself. */
export class PointInTime implements AsyncDisposable {
  readonly primary: EmbeddedPostgres;
  readonly fixture: RelayFixture;
  /** Where the relay and the writers connect to: the primary, and the restored server later. */
  readonly address: FaultProxy;
  readonly #stack: AsyncDisposableStack;
  readonly #writers: SteadyWriters;

  private constructor(
    parts: Pick<PointInTime, 'primary' | 'fixture' | 'address'>,
    stack: AsyncDisposableStack,
  ) {
    this.primary = parts.primary;
    this.fixture = parts.fixture;
    this.address = parts.address;
    this.#stack = stack;
    this.#writers = new SteadyWriters({ connect: async () => await this.connect(), again: false });
  }

  static async create(name: string): Promise<PointInTime> {
    await using stack = new AsyncDisposableStack();
    const settings = {
      fsync: 'off',
      max_slot_wal_keep_size: '2GB',
      archive_mode: 'on',
      // Run in the data directory, by the account that owns what is beside it.
      archive_command: 'mkdir -p ../archive && cp %p ../archive/%f',
    };
    const primary = stack.use(await ownServer(name, settings));
    const fixture = await RelayFixture.create(primary.url);
    stack.defer(async () => await fixture.pool.end());
    await createLedger(fixture.sql);
    const address = stack.use(await FaultProxy.start({ target: new URL(primary.url) }));
    return new PointInTime({ primary, fixture, address }, stack.move());
  }

  /** Applications that write without a pause, until {@link stopWriting}. */
  startWriting(count: number): void {
    this.#writers.start(count);
  }

  async stopWriting(): Promise<void> {
    await this.#writers.stop();
  }

  /** Resolves when so many transactions more have been acknowledged. */
  async writes(count: number): Promise<void> {
    await this.#writers.more(count);
  }

  async mark(target: Target): Promise<Moment> {
    const value = {
      recovery_target_name: async () => {
        await this.fixture.rows("select pg_create_restore_point('the moment')");
        return 'the moment';
      },
      recovery_target_time: async () => await this.#one('select clock_timestamp()::text as value'),
      recovery_target_xid: async () => {
        const [id] = await write(this.fixture.sql);
        return await this.#one(`select tx_id::text as value from ledger where event_id = '${id}'`);
      },
    }[target];
    const settings = { [target]: await value() };
    return { settings, at: new Date(await this.#one('select clock_timestamp()::text as value')) };
  }

  /** A command in the data directory, by the account that owns it. */
  async run(command: string): Promise<void> {
    // What is not read of the COPY would break the pipe.
    await this.fixture.rows(`copy (select) to program 'cat > /dev/null && ${command}'`);
  }

  /** Resolves when all WAL so far is in the archive. */
  async archived(): Promise<void> {
    const segment = await this.#one('select pg_walfile_name(pg_switch_wal()) as value');
    await eventually(
      () => this.#one('select left(last_archived_wal, 24) as value from pg_stat_archiver'),
      (last) => last >= segment,
    );
  }

  get recovery(): Readonly<Record<string, string>> {
    const archive = join(dirname(this.primary.dataDirectory), 'archive');
    return { restore_command: `cp ${archive}/%f %p` };
  }

  relay(consumers: readonly Consumer[]): Relay {
    const connectionString = this.address.url(this.fixture.url);
    const webhooks = fanOut({ connectionString, stack: this.#stack });
    const sinks = [...consumers.map(({ source }) => source), webhooks];
    return this.fixture.relay(sinks, { connectionString, leaseMs: 2_000 });
  }

  /** The database of the fixture, wherever the address leads to. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.address.url(this.fixture.database.url) });
    client.on('error', () => undefined);
    await client.connect();
    this.#stack.defer(async () => await client.end().catch(() => undefined));
    return client;
  }

  async #one(text: string): Promise<string> {
    return (await this.fixture.rows<{ value: string }>(text))[0]?.value ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writers.stop().catch(() => undefined);
    await this.fixture.stopRelays();
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** What `later` has and `earlier` has not. */
export function without(later: readonly LedgerRow[], earlier: readonly LedgerRow[]): LedgerRow[] {
  const known = new Set(earlier.map(({ eventId }) => eventId));
  return later.filter(({ eventId }) => !known.has(eventId));
}

/** Resolves when every checkpoint says that all of the ledger is delivered. @returns the ledger */
export async function delivered(client: pg.Client): Promise<LedgerRow[]> {
  await eventually(
    async () =>
      (
        await client.query<{ behind: number }>(
          `select count(*)::int as behind from ledger l, event_runtime.relay_checkpoint c
            where not pg_visible_in_snapshot(l.tx_id, c.snapshot)`,
        )
      ).rows[0]?.behind,
    (behind) => behind === 0,
  );
  return await readLedger(client);
}
