import { setTimeout as delay } from 'node:timers/promises';
import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { connectDirect } from './direct-connection.ts';
import { type Migration, migrationsDirectory, readMigrations } from './migration-files.ts';
import { checkServer, readServerFacts } from './server-check.ts';

/** What {@link migrate} tells while it works. */
export type MigrationProgress =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'applying' | 'applied'; readonly number: number; readonly name: string }
  | { readonly kind: 'warning'; readonly message: string };

export interface MigrateOptions {
  /** A direct connection, not one through a pooler. Superuser, or CREATEROLE and CREATE on the database. */
  readonly connectionString: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  /** Default: the migrations of this package. */
  readonly directory?: URL | undefined;
}

export interface MigrateResult {
  /** The numbers that this call applied, in order; empty when there was nothing to do. */
  readonly applied: readonly number[];
  /** The newest migration in the database. */
  readonly version: number;
}

/** How a database's schema stands to this program. */
export interface SchemaStatus {
  /**
   * `missing`: no schema. `behind`: migrations are pending. `current`. `newer`: a newer program migrated
   * it, and this one still works on it. `incompatible`: a newer migration breaks this program.
   */
  readonly state: 'missing' | 'behind' | 'current' | 'newer' | 'incompatible';
  /** The newest migration in the database; 0 when there is none. */
  readonly version: number;
  /** The newest migration that this program brings. */
  readonly known: number;
  /** Applied migrations whose text differs from the file of the same number. */
  readonly drifted: readonly number[];
}

interface AppliedMigration {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly breaking: boolean;
}

/** Any fixed number does; it is the same for every version of this program. */
const lockKey = '7308043215219323492';
const attempts = 10;

/**
 * Brings schema `event_runtime` of a database up to date. Any number of programs may call this at once,
 * beside running ones: the first does the work, the others wait and find it done. Each migration is one
 * transaction together with its row in `schema_migration`.
 *
 * @throws ER1001 ER1004 connection; ER1005 ER1006 server; ER1102 newer schema; ER1103 drift; ER1104 failed
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const known = await readMigrations(options.directory ?? migrationsDirectory);
  await using connection = await connectDirect({ ...options, applicationName: 'event-runtime migrate' });
  const { client } = connection;
  const warning = checkServer(await readServerFacts(client));
  if (warning !== undefined) options.onProgress?.({ kind: 'warning', message: warning });
  try {
    await lock(client, options);
    const before = await readApplied(client);
    const pending = pendingOf(known, before);
    for (const migration of pending) {
      options.signal?.throwIfAborted();
      options.onProgress?.({ kind: 'applying', number: migration.number, name: migration.name });
      await apply(client, migration);
      options.onProgress?.({ kind: 'applied', number: migration.number, name: migration.name });
    }
    const version = Math.max(0, ...before.map((row) => row.number), ...pending.map((row) => row.number));
    return { applied: pending.map((migration) => migration.number), version };
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw cause;
  }
}

/**
 * What {@link migrate} would run on this database, as SQL text in order; nothing is changed.
 *
 * @throws as {@link migrate}, but for ER1104
 */
export async function planMigrations(
  options: Omit<MigrateOptions, 'onProgress'>,
): Promise<readonly Migration[]> {
  const known = await readMigrations(options.directory ?? migrationsDirectory);
  await using connection = await connectDirect({ ...options, applicationName: 'event-runtime plan' });
  checkServer(await readServerFacts(connection.client));
  return pendingOf(known, await readApplied(connection.client));
}

/** How the schema of this database stands to this program. Needs SELECT on `schema_migration`. */
export async function schemaStatus(
  client: ClientBase,
  options: { readonly directory?: URL | undefined } = {},
): Promise<SchemaStatus> {
  const known = await readMigrations(options.directory ?? migrationsDirectory);
  const applied = await readApplied(client);
  const newest = known.length;
  const version = Math.max(0, ...applied.map((row) => row.number));
  return {
    state: stateOf(applied, newest),
    version,
    known: newest,
    drifted: applied.filter((row) => hasDrifted(row, known)).map((row) => row.number),
  };
}

function stateOf(applied: readonly AppliedMigration[], newest: number): SchemaStatus['state'] {
  if (applied.length === 0) return 'missing';
  const newer = applied.filter((row) => row.number > newest);
  if (newer.some((row) => row.breaking)) return 'incompatible';
  if (newer.length > 0) return 'newer';
  return applied.length < newest ? 'behind' : 'current';
}

function hasDrifted(row: AppliedMigration, known: readonly Migration[]): boolean {
  const file = known[row.number - 1];
  return file !== undefined && file.checksum !== row.checksum;
}

/** Never backwards, never past an edited file. */
function pendingOf(known: readonly Migration[], applied: readonly AppliedMigration[]): readonly Migration[] {
  const breaking = applied.find((row) => row.number > known.length && row.breaking);
  if (breaking !== undefined) {
    throw runtimeError('ER1102', { detail: `It is ${breaking.number} ${breaking.name}.` });
  }
  const drifted = applied.find((row) => hasDrifted(row, known));
  if (drifted !== undefined) {
    throw runtimeError('ER1103', { detail: `It is ${drifted.number} ${drifted.name}.` });
  }
  const numbers = new Set(applied.map((row) => row.number));
  return known.filter((migration) => !numbers.has(migration.number));
}

async function readApplied(client: ClientBase): Promise<readonly AppliedMigration[]> {
  const found = await client.query<{ there: boolean }>(
    "select to_regclass('event_runtime.schema_migration') is not null as there",
  );
  if (found.rows[0]?.there !== true) return [];
  // The owner sees the table by its policy; a superuser needs none.
  const { rows } = await client.query<AppliedMigration>(
    'select number, name, checksum, breaking from event_runtime.schema_migration order by number',
  );
  return rows;
}

/**
 * Asked for again and again rather than waited for: a session that waits in a statement holds a snapshot,
 * and the one who works may have to wait for old snapshots to end.
 */
async function lock(client: ClientBase, options: MigrateOptions): Promise<void> {
  for (let asked = 0; ; asked += 1) {
    const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [
      lockKey,
    ]);
    if (rows[0]?.got === true) return;
    if (asked === 0) options.onProgress?.({ kind: 'waiting' });
    await delay(50, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

async function apply(client: ClientBase, migration: Migration): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query('begin');
      await client.query(migration.sql);
      await client.query('set local role event_runtime_owner');
      await client.query(
        'insert into event_runtime.schema_migration (number, name, checksum, breaking) values ($1, $2, $3, $4)',
        [migration.number, migration.name, migration.checksum, migration.breaking],
      );
      await client.query('commit');
      return;
    } catch (cause) {
      await client.query('rollback').catch(() => undefined);
      if (attempt < attempts && isCatalogRace(cause)) continue;
      const said = cause instanceof Error ? cause.message : String(cause);
      throw runtimeError('ER1104', { detail: `${migration.number} ${migration.name}: ${said}.`, cause });
    }
  }
}

/** Roles and grants are of the cluster: another database's migrator may touch the same rows at this moment. */
function isCatalogRace(cause: unknown): boolean {
  const { code, schema, message } = cause as { code?: string; schema?: string; message?: string };
  return (
    (code === 'XX000' && message?.startsWith('tuple concurrently ') === true) ||
    (code === '23505' && schema === 'pg_catalog')
  );
}
