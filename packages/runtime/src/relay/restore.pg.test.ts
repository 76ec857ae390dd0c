import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { Snapshot } from '../log/snapshot.ts';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { Lateness } from '../testing/lateness.suite.ts';
import { createMigratedDatabase } from '../testing/migrated-database.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { createTestDatabase } from '../testing/test-database.ts';
import { createLedger, faultless, judge, type LedgerRow, readLedger, write } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';
import { type Dump, logicalCopy, pgDump } from './restore.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;
const program = inject('pgDump') ?? '';
const settings = { fsync: 'off', full_page_writes: 'off', max_slot_wal_keep_size: '2GB' };

/** With pg_dump for the version that every pg_dump at hand can dump; row by row for both. */
describe.each([
  ['15', 'a dump', async (url: string) => await pgDump(program, url)],
  ['15', 'a logical copy', logicalCopy],
  ['18', 'a logical copy', logicalCopy],
] as const)('PostgreSQL %s, %s', (major, way, dump) => {
  const missing = way === 'a dump' && program === '';
  const needs = way === 'a dump' ? ' [needs pg_dump]' : '';
  // Three clusters are made and filled.
  test.skipIf(missing)(
    `every sink goes on in another cluster, also with what was emitted there before the relay${needs}`,
    { timeout: 300_000 },
    async () => {
      await using source = await ownServer(packages[major], settings);
      const fixture = await RelayFixture.create(source.url);
      await using stack = new AsyncDisposableStack();
      stack.defer(async () => await fixture.stopRelays());
      await createLedger(fixture.sql);
      // Transactions of the other cluster will have lower ids than those that were delivered here.
      await fixture.rows(
        'do $$ begin for i in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end $$',
      );
      const [busy, paused, late] = [new Consumer('busy'), new Consumer('paused'), new Consumer('late')];
      const relay = fixture.relay([busy.source, paused.source], { checkpointMs: 300 });
      await relay.start();
      await fixture.live(relay);
      for (let at = 0; at < 100; at += 1) await write(fixture.sql, { events: 2 });
      await paused.has(200);
      await fixture.rows("update event_runtime.relay_checkpoint set paused_at = now() where sink = 'paused'");
      await eventually(
        async () => relay.status.find(({ sink }) => sink === 'paused')?.mode,
        (mode) => mode === 'paused',
      );
      // Committed after what is behind it in the table began: in the order of seq they stand before delivered ones.
      const open = await fixture.database.connect();
      await open.query('begin');
      await open.query('select write(3, 10)');
      for (let at = 0; at < 100; at += 1) await write(fixture.sql, { events: 2 });
      await open.query('commit');
      await busy.has(403);
      const writing = new AbortController();
      const load = writeUntil(fixture.database.connect(), writing.signal);
      await busy.has(450);
      await using copy = await dump(fixture.database.url);
      await busy.has(busy.events.length + 50);
      writing.abort();
      await load;
      await relay.stop();
      const old = await readLedger(fixture.sql);
      await fixture.sql.end();

      // A new one: it is no copy of what the source is a copy of.
      await using target = await EmbeddedPostgres.start({ package: packages[major], settings });
      await using restored = await Restored.create(target, { copy, fixture });
      // One that has emitted and stays open: it is waited for, and nobody else for longer than a moment.
      const holding = await restored.connect();
      await holding.query('begin');
      await holding.query('select write(1, 10)');
      const application = await restored.connect();
      using lateness = new Lateness();
      const emits: number[] = [];
      const emit = async (): Promise<void> => {
        const began = performance.now();
        await write(application, { events: 2 });
        emits.push(performance.now() - began);
      };
      for (let at = 0; at < 20; at += 1) await emit();

      const checkpoints = await restored.checkpoints();
      const sinks = [busy.source, paused.source, late.source];
      const interrupted = deferred();
      late.gate = async () => {
        if (late.events.length >= 30) await interrupted.promise;
      };
      const delivered = busy.events.length;
      const lines = fixture.logs.length;
      const first = fixture.relay(sinks, { connectionString: restored.url });
      const started = first.start();
      await fixture.logged('relay.reconnecting', { after: lines });
      for (let at = 0; at < 10; at += 1) await emit();
      expect(busy.events.length).toBe(delivered);
      await holding.query('commit');
      await started;
      // A second replica stands by, and takes over in the middle of what came with the dump.
      const second = fixture.relay(sinks, { connectionString: restored.url });
      await second.start();
      await late.has(30);
      await first.stop({ graceMs: 0 }).catch(() => undefined);
      expect(late.events.length).toBe(30);
      interrupted.resolve();
      for (let at = 0; at < 10; at += 1) await emit();
      await restored.rows('update event_runtime.relay_checkpoint set paused_at = null');
      await restored.delivered();
      await fixture.live(second);
      await emit();
      await restored.delivered();
      await second.stop();

      const adopted = fixture.logs.slice(lines).filter((line) => line['event'] === 'relay.cluster.adopted');
      expect(adopted).toMatchObject([{ level: 'error', floorSeq: expect.any(String) as string }]);
      expect(Math.max(...emits)).toBeLessThan(lateness.bound(5_000));
      const ledger = await readLedger(await restored.connect());
      const known = new Set(ledger.map(({ eventId }) => eventId));
      const lostWithTheDump = new Set(old.map(({ eventId }) => eventId).filter((id) => !known.has(id)));
      const told: Record<string, unknown> = { major, way, taken: 0 };
      for (const consumer of [busy, paused, late]) {
        const arrivals = consumer.events.map(({ event }) => ({
          eventId: event.eventId,
          entity: event.entityKey,
        }));
        const kept = arrivals.filter(({ eventId }) => !lostWithTheDump.has(eventId));
        const verdict = judge(ledger, kept);
        told[consumer.name] = verdict.duplicates;
        expect(verdict, consumer.name).toMatchObject(faultless);
        const at = checkpoints.get(consumer.name);
        // Nothing again but what the last snapshot did not see, and what was under way when a replica was cut off.
        const again = againBeyond(ledger, { arrivals: kept, snapshot: at });
        expect(again.length, `${consumer.name}: ${again.join(', ')}`).toBeLessThanOrEqual(
          consumer === late ? 1_000 : 0,
        );
      }
      told['taken'] = new Set(
        busy.events.map(({ event }) => event.eventId).filter((id) => lostWithTheDump.has(id)),
      ).size;
      console.log(JSON.stringify(told));
      expect(told['taken']).toBeGreaterThan(0);
      const [row] = await restored.rows<{ top: boolean }>(
        `select (select last_value from event_runtime.outbox_seq_seq) >= (select max(seq) from event_runtime.outbox) as top`,
      );
      expect(row?.top).toBe(true);
    },
  );
});

test.each(['15', '18'] as const)(
  'PostgreSQL %s: a copy in the same cluster does not touch the slot of the other: ER1211',
  async (major) => {
    await using fixture = await RelayFixture.create(inject('postgres')[major]);
    const consumer = new Consumer();
    const relay = fixture.relay([consumer.source]);
    await relay.start();
    await fixture.live(relay);
    const reader = async (): Promise<unknown> =>
      (
        await fixture.rows('select active_pid from pg_replication_slots where slot_name = $1', [fixture.slot])
      )[0];
    const before = await reader();
    await using copy = await createMigratedDatabase(inject('postgres')[major]);
    const { username, password } = new URL(fixture.url);
    const other = fixture.relay([new Consumer().source], {
      connectionString: copy.urlFor(username, password),
    });
    await expect(other.start()).rejects.toMatchObject({ code: 'ER1211', retryable: false });
    expect(await reader()).toEqual(before);
    await fixture.emit();
    await consumer.has(1);
  },
);

/** What came more than once though the snapshot saw it. */
function againBeyond(
  ledger: readonly LedgerRow[],
  options: {
    readonly arrivals: ReadonlyArray<{ readonly eventId: string }>;
    readonly snapshot: Snapshot | undefined;
  },
): string[] {
  const counts = new Map<string, number>();
  for (const { eventId } of options.arrivals) counts.set(eventId, (counts.get(eventId) ?? 0) + 1);
  return ledger
    .filter(({ eventId, txId }) => (counts.get(eventId) ?? 0) > 1 && options.snapshot?.sees(txId) !== false)
    .map(({ eventId }) => eventId);
}

async function writeUntil(connecting: Promise<pg.Client>, signal: AbortSignal): Promise<void> {
  const client = await connecting;
  while (!signal.aborted) await write(client, { events: 2 });
}

/** A database of another cluster into which a copy was put. */
class Restored implements AsyncDisposable {
  readonly url: string;
  readonly #stack: AsyncDisposableStack;
  readonly #admin: string;

  private constructor(init: { url: string; admin: string; stack: AsyncDisposableStack }) {
    this.url = init.url;
    this.#admin = init.admin;
    this.#stack = init.stack;
  }

  static async create(
    target: EmbeddedPostgres,
    options: { readonly copy: Dump; readonly fixture: RelayFixture },
  ): Promise<Restored> {
    await using stack = new AsyncDisposableStack();
    const database = await createTestDatabase(target.url);
    await options.copy.restore(database.url);
    const { username, password } = new URL(options.fixture.url);
    const restored = new Restored({
      url: database.urlFor(username, password),
      admin: database.url,
      stack: stack.move(),
    });
    await restored.rows(
      `create role ${username} login replication password '${password}' in role event_runtime_service`,
    );
    return restored;
  }

  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#admin });
    client.on('error', () => undefined);
    await client.connect();
    this.#stack.defer(async () => await client.end().catch(() => undefined));
    return client;
  }

  async rows<T extends pg.QueryResultRow>(text: string): Promise<T[]> {
    const client = await this.connect();
    return (await client.query<T>(text)).rows;
  }

  async checkpoints(): Promise<Map<string, Snapshot>> {
    const rows = await this.rows<{ sink: string; snapshot: string }>(
      'select sink, snapshot::text from event_runtime.relay_checkpoint',
    );
    return new Map(rows.map(({ sink, snapshot }) => [sink, Snapshot.parse(snapshot)]));
  }

  /** Resolves when the relay says that every sink has everything. */
  async delivered(): Promise<void> {
    const client = await this.connect();
    await eventually(
      async () =>
        (
          await client.query<{ behind: number }>(
            `select count(*)::int as behind from event_runtime.outbox o, event_runtime.relay_checkpoint c
              where c.adopting_snapshot is not null
                 or o.seq > c.floor_seq and not pg_visible_in_snapshot(o.tx_id, c.snapshot)`,
          )
        ).rows[0]?.behind,
      (behind) => behind === 0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}
