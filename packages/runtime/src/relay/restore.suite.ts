import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { migrate } from '../schema/migrator.ts';
import { createLedger } from './ledger.suite.ts';

/** A copy of one moment of a database, to be put into an empty one of another cluster. */
export interface Dump extends AsyncDisposable {
  restore(url: string): Promise<void>;
}

/** As operators do it. Both programs must be at least of the server's version. */
export async function pgDump(program: string, url: string): Promise<Dump> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-dump-'));
  const file = join(folder, 'dump');
  await promisify(execFile)(program, ['--format=custom', `--file=${file}`, url]);
  return {
    async restore(to) {
      // Roles belong to the cluster and are in no dump; pg_dumpall --globals-only has them.
      await connected(to, async (client) => {
        for (const role of ['owner', 'service', 'producer', 'viewer']) {
          await client.query(`create role event_runtime_${role}`);
        }
      });
      const restore = join(dirname(program), 'pg_restore');
      await promisify(execFile)(restore, ['--exit-on-error', `--dbname=${to}`, file]);
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const tables = [
  'event_runtime.outbox',
  'event_runtime.relay_checkpoint',
  'event_runtime.relay_lease',
  'event_runtime.relay_cluster',
  'event_runtime.tick',
  'public.ledger',
  'public.entity',
];
const sequences = ['event_runtime.outbox_seq_seq', 'event_runtime.relay_epoch'];

/**
 * Row by row into a schema that the migrations made, as a logical upgrade does it: also for servers that are newer than
 * the pg_dump at hand.
 */
export async function logicalCopy(url: string): Promise<Dump> {
  const rows = new Map<string, string[]>();
  const values = new Map<string, string>();
  await connected(url, async (client) => {
    await client.query('begin isolation level repeatable read');
    for (const table of tables) {
      const found = await client.query<{ row: string }>(`select row_to_json(t)::text as row from ${table} t`);
      rows.set(
        table,
        found.rows.map(({ row }) => row),
      );
    }
    for (const sequence of sequences) {
      const found = await client.query<{ value: string }>(
        `select last_value::text as value from ${sequence}`,
      );
      values.set(sequence, found.rows[0]?.value ?? '1');
    }
  });
  return {
    async restore(to) {
      await migrate({ connectionString: to });
      await connected(to, async (client) => {
        await createLedger(client);
        for (const table of tables) {
          await client.query(`delete from ${table}`);
          await client.query(
            `insert into ${table} overriding system value
             select (json_populate_record(null::${table}, r.row::json)).* from unnest($1::text[]) as r(row)`,
            [rows.get(table)],
          );
        }
        for (const [sequence, value] of values) await client.query(`select setval('${sequence}', ${value})`);
      });
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function connected(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
