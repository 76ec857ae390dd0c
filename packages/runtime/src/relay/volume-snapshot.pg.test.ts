import { execFile } from 'node:child_process';
import { appendFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import type { EmbeddedPostgres } from '../testing/embedded-postgres.ts';
import { ownServer } from '../testing/own-server.suite.ts';
import { createLedger, faultless, judge, readLedger, write } from './ledger.suite.ts';
import { Consumer, RelayFixture } from './relay-fixture.suite.ts';

/** What docs/operations/restore.md says of a volume's snapshot, as an operator does it. */
const ways = [
  { way: 'as it is', said: [], reused: true },
  { way: 'with seq raised', said: [], reused: false },
  { way: 'as a new timeline', said: [{ level: 'error', from: 1, to: 2 }], reused: true },
] as const;

/** Transactions of one event. @returns the ids */
async function written(client: pg.Client, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let at = 0; at < count; at += 1) ids.push(...(await write(client)));
  return ids;
}

/** The files of a server at one moment, and the same put back. */
class VolumeSnapshot {
  readonly #server: EmbeddedPostgres;
  readonly #files: string;

  constructor(server: EmbeddedPostgres) {
    this.#server = server;
    this.#files = join(server.dataDirectory, '..', 'snapshot');
  }

  async take(): Promise<void> {
    await this.#server.stop({ keep: true });
    await this.#copy(this.#server.dataDirectory, this.#files);
    await this.#server.resume();
  }

  async putBack({ newTimeline }: { readonly newTimeline: boolean }): Promise<void> {
    const { dataDirectory } = this.#server;
    await this.#server.kill();
    await rm(dataDirectory, { recursive: true, maxRetries: 5, retryDelay: 50 });
    await this.#copy(this.#files, dataDirectory);
    if (newTimeline) {
      await appendFile(join(dataDirectory, 'postgresql.conf'), "\nrestore_command = 'false'\n");
      // Its text does not matter, its owner does.
      await this.#copy(join(dataDirectory, 'PG_VERSION'), join(dataDirectory, 'recovery.signal'));
    }
    await this.#server.resume();
  }

  /** With owners and modes, which PostgreSQL looks at. */
  async #copy(from: string, to: string): Promise<void> {
    await promisify(execFile)('cp', ['-a', from, to]);
  }
}

test.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])(
  "PostgreSQL %s: a volume's snapshot is put back under a running relay: nothing that it has is lost",
  {
    timeout: 300_000,
  },
  async (major, name) => {
    const settings = { fsync: 'off', max_slot_wal_keep_size: '2GB' };
    await using server = await ownServer(name, settings);
    const fixture = await RelayFixture.create(server.url);
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => await fixture.stopRelays());
    const connect = async (): Promise<pg.Client> => {
      const client = new pg.Client({ connectionString: fixture.database.url });
      client.on('error', () => undefined);
      await client.connect();
      stack.defer(async () => await client.end().catch(() => undefined));
      return client;
    };
    await createLedger(fixture.sql);
    const consumer = new Consumer();
    const has = async (ids: ReadonlySet<string>): Promise<void> => {
      await eventually(
        async () => new Set(consumer.events.map(({ event }) => event.eventId)),
        (got) => [...ids].every((id) => got.has(id)),
      );
    };
    const relay = fixture.relay([consumer.source], { leaseMs: 2_000 });
    await relay.start();
    await fixture.live(relay);
    const inSnapshot = new Set(await written(fixture.sql, 100));
    await has(inSnapshot);
    const snapshot = new VolumeSnapshot(server);
    await snapshot.take();

    /** Committed and delivered after it, so that putting it back takes them. */
    const taken = new Set(await written(await connect(), 100));
    for (const { way, said, reused } of ways) {
      await has(taken);
      const lines = fixture.logs.length;
      await snapshot.putBack({ newTimeline: way === 'as a new timeline' });
      const client = await connect();
      await eventually(
        async () => await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby'),
        ({ rows: [row] }) => row !== undefined && !row.standby,
      );
      if (way === 'with seq raised') {
        await client.query(
          "select setval('event_runtime.outbox_seq_seq', nextval('event_runtime.outbox_seq_seq') + 1000000)",
        );
      }
      const added = new Set(await written(client, 100));
      await has(added);
      const ledger = await readLedger(client);
      expect(new Set(ledger.map(({ eventId }) => eventId))).toEqual(new Set([...inSnapshot, ...added]));

      const arrivals = consumer.events.map(({ event }) => event);
      const kept = arrivals
        .filter(({ eventId }) => !taken.has(eventId))
        .map(({ eventId, entityKey: entity }) => ({ eventId, entity }));
      const { duplicates, ...faults } = judge(ledger, kept);
      console.log(JSON.stringify({ major, way, duplicates, ...faults }));
      expect(faults).toEqual(faultless);
      // What was taken is told from what came instead by its id, and not always by its seq.
      const seqs = (ids: ReadonlySet<string>): Set<bigint> =>
        new Set(arrivals.filter(({ eventId }) => ids.has(eventId)).map(({ seq }) => seq));
      const before = seqs(taken);
      expect([...seqs(added)].some((seq) => before.has(seq))).toBe(reused);
      const changed = fixture.logs.slice(lines).filter((line) => line['event'] === 'relay.timeline.changed');
      expect(changed).toMatchObject(said);
      for (const id of added) taken.add(id);
    }
  },
);
