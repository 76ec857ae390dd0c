import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import type { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { createLedger } from './ledger.suite.ts';
import type { Relay } from './relay.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { relayReport } from './report/relay-report.ts';
import { writeMany } from './stuck-sink.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;
const mebibyte = 1_024 * 1_024;
/** More than the ticks after which the rest of the WAL is confirmed. */
const ticks = 35;

/** A relay on a server of its own, because the WAL of other databases moves its checkpoints too. */
class IdleRelay implements AsyncDisposable {
  readonly server: EmbeddedPostgres;
  readonly fixture: RelayFixture;
  readonly consumer = new Consumer();
  readonly relay: Relay;

  private constructor(server: EmbeddedPostgres, fixture: RelayFixture, checkpointMs: number) {
    this.server = server;
    this.fixture = fixture;
    this.relay = fixture.relay([this.consumer.source, fixture.webhooks], { checkpointMs });
  }

  /** It has delivered some events, and is still. */
  static async start(binaries: string, checkpointMs = 20): Promise<IdleRelay> {
    const server = await ownServer(binaries, {
      fsync: 'off',
      max_slot_wal_keep_size: '1GB',
      // What these write comes at any moment, once a test takes longer.
      autovacuum: 'off',
      checkpoint_timeout: '1h',
    });
    const fixture = await RelayFixture.create(server.url);
    const idle = new IdleRelay(server, fixture, checkpointMs);
    await createLedger(fixture.sql);
    await idle.relay.start();
    await fixture.live(idle.relay);
    await writeMany(fixture.sql, { events: 5 });
    await idle.consumer.has(5);
    return idle;
  }

  /** So many writes of the lease: it is alive, whatever else it does. */
  async renewals(count: number): Promise<void> {
    const expiry = `select expires_at::text as at from event_runtime.relay_lease where sink = '*'`;
    for (let seen = 0; seen < count; seen += 1) {
      const [before] = await this.fixture.rows<{ at: string }>(expiry);
      await eventually(
        () => this.fixture.rows<{ at: string }>(expiry),
        ([now]) => now?.at !== before?.at,
      );
    }
  }

  /** So many ticks: after each the session asks what operators want. */
  async ticks(count: number): Promise<void> {
    const asked = `select max(query_start)::text as at from pg_stat_activity
      where datname = current_database() and query like '%c.paused_at is not null%' and state = 'idle'`;
    for (let seen = 0; seen < count; seen += 1) {
      const [before] = await this.fixture.rows<{ at: string | null }>(asked);
      await eventually(
        () => this.fixture.rows<{ at: string | null }>(asked),
        ([now]) => now?.at !== before?.at,
      );
    }
  }

  /** How many sessions there were: what is said of an idle one is true of one. */
  get sessions(): number {
    return this.fixture.logs.filter(({ event }) => event === 'relay.started').length;
  }

  /** Which versions of the checkpoints are stored, and how many ticks. */
  async state(): Promise<string> {
    return JSON.stringify(
      await this.fixture.rows(
        `select c.sink, c.xmin::text, (select count(*) from event_runtime.tick) as ticks
           from event_runtime.relay_checkpoint c order by c.sink`,
      ),
    );
  }

  /** What was delivered is stored, and seen by a tick, and the rest of the WAL is confirmed; then it is still. */
  async still(): Promise<string> {
    let last = '';
    for (let still = 0; still < 3; ) {
      await this.ticks(Math.ceil(ticks / 3));
      const now = await this.state();
      still = now === last ? still + 1 : 0;
      last = now;
    }
    return last;
  }

  /** Watches what is written into some tables, by a slot of our own. @returns what was since: tables, and kinds of change */
  async watch(tables: string): Promise<() => Promise<{ tables: string[]; kinds: string[] }>> {
    const { fixture } = this;
    const name = `watch_${fixture.database.name}`;
    await fixture.rows(`create publication ${name} for ${tables}`);
    await fixture.rows(`select pg_create_logical_replication_slot('${name}', 'pgoutput')`);
    return async () => {
      const changes = await fixture.rows<{ data: Buffer }>(
        `select data from pg_logical_slot_get_binary_changes('${name}', null, null,
           'proto_version', '1', 'publication_names', '${name}')`,
      );
      await fixture.rows(`select pg_drop_replication_slot('${name}')`);
      const kinds = changes.map(({ data }) => String.fromCharCode(data[0] ?? 0));
      // Relation: kind, oid, schema, name.
      const found = changes
        .filter((_, at) => kinds[at] === 'R')
        .map(({ data }) => data.subarray(5).toString('latin1').split('\0')[1] ?? '');
      return { tables: found, kinds };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fixture[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

describe.each(['15', '18'] as const)('an idle session, PostgreSQL %s', (major) => {
  test('nothing moved, nothing written but the lease', async () => {
    await using idle = await IdleRelay.start(packages[major]);
    const last = await idle.still();
    expect(idle.relay.status.map(({ mode }) => mode)).toEqual(['live', 'live']);
    const written = await idle.watch('all tables');
    await idle.ticks(2 * ticks);
    await idle.renewals(2);
    const { tables, kinds } = await written();
    expect(idle.sessions).toBe(1);
    expect(tables).toEqual(['relay_lease']);
    expect(kinds.filter((kind) => kind === 'U').length).toBeGreaterThanOrEqual(2);
    expect(kinds.filter((kind) => kind === 'I' || kind === 'D')).toEqual([]);
    expect(await idle.state()).toBe(last);
  });

  test.each([major === '15' ? 'a table that is not published' : 'another database'])(
    'WAL of %s: the slot and the checkpoints follow, by a few writes; then nothing is written any more',
    async (where) => {
      await using idle = await IdleRelay.start(packages[major]);
      const { fixture, relay, consumer, server } = idle;
      const before = await idle.still();
      await using other = await createTestDatabase(server.url);
      const client = where === 'another database' ? new pg.Client(other.url) : fixture.sql;
      if (client !== fixture.sql) await client.connect();
      await client.query('create table public.foreign_rows (n int, filler text)');
      const written = await idle.watch('table event_runtime.relay_checkpoint');
      const begin = await fixture.walPosition();
      const write = async (megabytes: number): Promise<void> => {
        await client.query(
          `insert into public.foreign_rows select g, repeat(md5(g::text), 30) from generate_series(1, $1) g`,
          [megabytes * 1_000],
        );
      };
      await write(16);
      const end = await fixture.walPosition();
      expect(Number(end - begin)).toBeGreaterThan(15 * mebibyte);

      // `restart_lsn` moves up to where the server has written down what is open (at checkpoints, and every 15 s), once
      // something behind that is confirmed. So it follows the next megabyte, not the last one.
      const reports = { relay: fixture.slot, slot: fixture.slot };
      const report = await eventually(
        async () => {
          await fixture.rows('checkpoint');
          const at = await fixture.walPosition();
          await write(2);
          await fixture.confirmedReaches(at);
          return await relayReport(fixture.pool, reports);
        },
        ({ slot, sinks }) =>
          [slot.restartLagBytes, slot.flushLagBytes, ...sinks.map((sink) => sink.positionLagBytes)].every(
            (bytes) => (bytes ?? Number.MAX_VALUE) < 8 * mebibyte,
          ),
      );
      expect(await fixture.confirmed()).toBeGreaterThan(end);
      const last = await fixture.walPosition();
      expect(idle.sessions).toBe(1);
      expect(report.sinks.map(({ mode }) => mode)).toEqual(['live', 'live']);
      expect(relay.status.map(({ mode }) => mode)).toEqual(['live', 'live']);

      const after = await idle.still();
      expect(after).not.toBe(before);
      await idle.ticks(ticks);
      expect(idle.sessions).toBe(1);
      expect(await idle.state()).toBe(after);
      // One for each MiB and sink at most, whatever the size of the relay's steps.
      const { kinds } = await written();
      const updates = kinds.filter((kind) => kind === 'U').length;
      expect(updates).toBeGreaterThanOrEqual(2);
      expect(updates).toBeLessThanOrEqual(2 * (Number(last - begin) / mebibyte + 2));

      await writeMany(fixture.sql, { events: 1 });
      await consumer.has(6);
      expect(consumer.events).toHaveLength(6);
      if (client !== fixture.sql) await client.end();
    },
  );

  test('a little WAL of others after much of it is confirmed too, once; then nothing is written any more', async () => {
    // Thirty ticks are long enough for what is written in between here.
    await using idle = await IdleRelay.start(packages[major], 100);
    const { fixture } = idle;
    await idle.still();
    await fixture.rows('create table public.foreign_rows (n int, filler text)');
    const write = async (rows: number): Promise<bigint> => {
      const begin = await fixture.walPosition();
      await fixture.rows(
        `insert into public.foreign_rows select g, repeat(md5(g::text), 30) from generate_series(1, ${rows}) g`,
      );
      return begin;
    };
    const burst = await write(3_000);
    await fixture.confirmedReaches(burst + BigInt(mebibyte));
    // Less than what moves a checkpoint by itself.
    await write(300);
    await fixture.confirmedReaches(await fixture.walPosition());
    const last = await idle.still();
    await idle.ticks(ticks);
    expect(idle.sessions).toBe(1);
    expect(await idle.state()).toBe(last);
  });

  test('a session that begins confirms what others wrote before, however little; then nothing is written any more', async () => {
    await using idle = await IdleRelay.start(packages[major]);
    const { fixture, consumer, relay } = idle;
    await idle.still();
    await relay.stop();
    await fixture.rows('create table public.foreign_rows (n int, filler text)');
    await fixture.rows(
      `insert into public.foreign_rows select g, repeat(md5(g::text), 30) from generate_series(1, 300) g`,
    );
    const end = await fixture.walPosition();
    const next = fixture.relay([consumer.source, fixture.webhooks], { checkpointMs: 20 });
    await next.start();
    await fixture.live(next);
    await fixture.confirmedReaches(end);
    const last = await idle.still();
    await idle.ticks(ticks);
    expect(idle.sessions).toBe(2);
    expect(await idle.state()).toBe(last);
  });
});
