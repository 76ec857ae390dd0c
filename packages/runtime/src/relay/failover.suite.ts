import { FaultProxy } from '@event-runtime/simulators';
import pg from 'pg';
import { CuttablePool } from '../internal/cuttable-pool.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import type { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { WebhookSink } from '../webhooks/fan-out.ts';
import { createLedger, judge, type LedgerRow, readLedger, type Verdict } from './ledger.suite.ts';
import type { Relay, RelayOptions, SinkSource } from './relay.ts';
import { type Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { SteadyWriters } from './steady-writers.suite.ts';

const shortTimes = { walSenderTimeoutMs: 2_000, leaseMs: 2_000 } as const;

/** The verdict by what the promoted, or restored, server has. */
export interface FailoverVerdict extends Verdict {
  /** Delivered, committed on the old primary, and not on the promoted server: the failover, or the restore, took it. */
  readonly taken: number;
  /** Delivered and never committed anywhere. */
  readonly invented: number;
}

/**
 * A primary and a standby, both reached by the relay and by the writers at one address that can be moved, as a
 * virtual IP or a DNS name is; the standby's own connection can be stalled.
 */
export class Failover implements AsyncDisposable {
  readonly primary: EmbeddedPostgres;
  readonly standby: EmbeddedPostgres;
  readonly fixture: RelayFixture;
  /** Where the relay and the writers connect to. */
  readonly address: FaultProxy;
  /** Between that and the primary: silent, it is a machine that is gone, of which nobody says so. */
  readonly wire: FaultProxy;
  /** Where the standby gets its WAL from. */
  readonly stream: FaultProxy;
  readonly #stack: AsyncDisposableStack;
  readonly #writers: SteadyWriters;

  private constructor(
    parts: Pick<Failover, 'primary' | 'standby' | 'fixture' | 'address' | 'wire' | 'stream'>,
    stack: AsyncDisposableStack,
  ) {
    this.primary = parts.primary;
    this.standby = parts.standby;
    this.fixture = parts.fixture;
    this.address = parts.address;
    this.wire = parts.wire;
    this.stream = parts.stream;
    this.#stack = stack;
    this.#writers = new SteadyWriters({ connect: async () => await this.#application(), again: true });
  }

  /**
   * @param options `ahead`: the relay may be sent what the standby has not, also from PostgreSQL 17 on; `carried`: false
   *   where the standby gets no slot that it could go on from, as when it has not come to that yet
   */
  static async create(
    name: string,
    options: { readonly ahead?: boolean; readonly carried?: boolean } = {},
  ): Promise<Failover> {
    await using stack = new AsyncDisposableStack();
    const settings = { fsync: 'off', max_slot_wal_keep_size: '2GB', wal_receiver_status_interval: '1' };
    const primary = stack.use(await ownServer(name, settings));
    const fixture = await RelayFixture.create(primary.url);
    await createLedger(fixture.sql);
    const [wire, stream] = [
      stack.use(await FaultProxy.start({ target: new URL(primary.url) })),
      stack.use(await FaultProxy.start({ target: new URL(primary.url) })),
    ];
    const address = stack.use(await FaultProxy.start({ target: { host: '127.0.0.1', port: wire.port } }));
    const standby = stack.use(
      await primary.standby({
        slot: 'standby',
        primary: { host: '127.0.0.1', port: stream.port },
        // PostgreSQL 15 does not know the setting.
        ...(options.carried === false && name === 'embedded-postgres'
          ? { settings: { sync_replication_slots: 'off' } }
          : {}),
      }),
    );
    if (name === 'embedded-postgres' && options.ahead !== true) {
      await fixture.sql.query("alter system set synchronized_standby_slots = 'standby'");
      await fixture.sql.query('select pg_reload_conf()');
    }
    return new Failover({ primary, standby, fixture, address, wire, stream }, stack.move());
  }

  /** With short times. */
  relay(consumers: readonly Consumer[], options: Partial<RelayOptions> = {}): Relay {
    return this.relayInto(
      consumers.map(({ source }) => source),
      { ...shortTimes, ...options },
    );
  }

  relayInto(sinks: readonly SinkSource[], options: Partial<RelayOptions>): Relay {
    return this.fixture.relay(sinks, { connectionString: this.address.url(this.fixture.url), ...options });
  }

  get webhooks(): SinkSource {
    return fanOut({ connectionString: this.address.url(this.fixture.url), stack: this.#stack });
  }

  /** The database of the fixture on one of the two, whatever stands in between. */
  async connect(server: EmbeddedPostgres): Promise<pg.Client> {
    const url = new URL(this.fixture.database.url);
    url.port = String(server.port);
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    this.#stack.defer(async () => await client.end().catch(() => undefined));
    return client;
  }

  /** Applications that write without a pause, and connect again when they are cut off. */
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

  /** Resolves when the relay has said that it tries again because of this error. */
  async reconnecting(after: number, code: string): Promise<void> {
    const said = (): boolean =>
      this.fixture.logs
        .slice(after)
        .some(
          (line) =>
            line['event'] === 'relay.reconnecting' && (line['error'] as { code?: string }).code === code,
        );
    await eventually(
      async () => said(),
      (yes) => yes,
    );
  }

  /** Resolves when the standby has a slot that it could go on from after a promotion. */
  async slotIsSynchronised(): Promise<void> {
    const client = await this.connect(this.standby);
    await eventually(
      async () => {
        // The standby can take the slot over once it has moved on to a record of the running transactions.
        await this.fixture.sql.query('select pg_log_standby_snapshot()');
        const { rows } = await client.query<{ ready: boolean }>(
          `select not temporary and to_jsonb(s) ->> 'synced' = 'true' as ready from pg_replication_slots s
            where slot_name = $1`,
          [this.fixture.slot],
        );
        return rows;
      },
      (rows) => rows[0]?.ready ?? false,
    );
  }

  /** Resolves when the standby has all that the primary has by now. */
  async caughtUp(): Promise<void> {
    const [row] = await this.fixture.rows<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
    const client = await this.connect(this.standby);
    await eventually(
      async () =>
        (
          await client.query<{ there: boolean }>('select pg_last_wal_replay_lsn() >= $1::pg_lsn as there', [
            row?.lsn,
          ])
        ).rows[0]?.there,
      (there) => there ?? false,
    );
  }

  /** Resolves when every checkpoint on the promoted server says that all of its ledger is delivered. */
  async delivered(): Promise<void> {
    const client = await this.connect(this.standby);
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
  }

  /** Judged by what the promoted server has, and by what the old one had, which is started once more for it. */
  async judge(consumer: Consumer): Promise<FailoverVerdict> {
    await this.stopWriting();
    const promoted = await readLedger(await this.connect(this.standby));
    if (!this.primary.running) await this.primary.resume();
    const old = await readLedger(await this.connect(this.primary));
    return verdict(consumer, { promoted, old });
  }

  async #application(): Promise<pg.Client> {
    const connectionString = this.address.url(this.fixture.database.url);
    const client = new pg.Client({ connectionString, connectionTimeoutMillis: 2_000, query_timeout: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopWriting();
    await this.fixture.stopRelays();
    await this.#stack[Symbol.asyncDispose]();
  }
}

/** The fan-out of webhooks over connections of its own, to where the relay connects to: as in the service. */
export function fanOut(options: {
  readonly connectionString: string;
  readonly stack: AsyncDisposableStack;
}): SinkSource {
  const { connectionString, stack } = options;
  const pool = new CuttablePool({ connectionString, connectionTimeoutMillis: 10_000, query_timeout: 30_000 });
  pool.on('error', () => undefined);
  stack.defer(async () => await pool.end());
  return {
    name: 'webhooks',
    create: (owner) => new WebhookSink({ pool, owner }),
    cut: () => pool.cut(),
  };
}

/** Judges what a sink was given by what the promoted server has and by what the old one had. */
export function verdict(
  consumer: Consumer,
  ledgers: { readonly promoted: readonly LedgerRow[]; readonly old: readonly LedgerRow[] },
): FailoverVerdict {
  const kept = new Set(ledgers.promoted.map(({ eventId }) => eventId));
  const had = new Set(ledgers.old.map(({ eventId }) => eventId));
  const arrivals = consumer.events.map(({ event }) => ({ eventId: event.eventId, entity: event.entityKey }));
  const strange = [...new Set(arrivals.map(({ eventId }) => eventId))].filter((id) => !kept.has(id));
  return {
    ...judge(
      ledgers.promoted,
      arrivals.filter(({ eventId }) => kept.has(eventId)),
    ),
    taken: strange.filter((id) => had.has(id)).length,
    invented: strange.filter((id) => !had.has(id)).length,
  };
}
