import { copyFile, lchown, mkdir, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { Account } from './postgres-binaries.ts';

/** Of the primary's own life: not part of a copy. */
const left = new Set(['postmaster.pid', 'postmaster.opts', 'postgresql.auto.conf']);
/** Directories that a copy has, empty. */
const emptied = new Set([
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_wal',
]);
/** Whoever starts without it must not find an older state in it than in the rest: it is copied last. */
const controlFile = join('global', 'pg_control');

/** The files of a server, to make another one of. */
export class BaseBackup implements AsyncDisposable {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface BaseBackupOptions {
  /** Superuser connection string of the running server. */
  readonly url: string;
  readonly from: string;
  /** An empty directory. */
  readonly to: string;
  /** Who the files shall belong to. */
  readonly account: Account | undefined;
}

/**
 * Copies a running cluster, as pg_basebackup does, which the embedded packages do not have. The copy can only be
 * started by a server that gets the WAL since the beginning of the copy from somewhere.
 * Source: PostgreSQL manual, "Making a Base Backup Using the Low Level API".
 */
export async function copyRunningCluster(options: BaseBackupOptions): Promise<void> {
  const client = new pg.Client({ connectionString: options.url });
  await client.connect();
  try {
    await client.query("select pg_backup_start('event-runtime', true)");
    await copyDirectory('', options);
    await copy(controlFile, options);
    const { rows } = await client.query<{ label: string; spaces: string }>(
      'select labelfile as label, spcmapfile as spaces from pg_backup_stop(false)',
    );
    const { label = '', spaces = '' } = rows[0] ?? {};
    await write('backup_label', { ...options, text: label });
    if (spaces.trim() !== '') await write('tablespace_map', { ...options, text: spaces });
    await mkdir(join(options.to, 'pg_wal', 'archive_status'));
    await own(join('pg_wal', 'archive_status'), options);
  } finally {
    await client.end();
  }
}

async function copyDirectory(path: string, options: BaseBackupOptions): Promise<void> {
  for (const entry of await readdir(join(options.from, path), { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (inner === controlFile || left.has(inner) || entry.name.startsWith('pgsql_tmp')) continue;
    if (entry.isDirectory()) {
      await mkdir(join(options.to, inner), { mode: 0o700 });
      await own(inner, options);
      if (!emptied.has(inner)) await copyDirectory(inner, options);
    } else {
      await copy(inner, options);
    }
  }
}

/** A file that is gone by now is one that the WAL removes too. */
async function copy(path: string, options: BaseBackupOptions): Promise<void> {
  const [from, to] = [join(options.from, path), join(options.to, path)];
  try {
    await copyFile(from, to);
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return;
    if (!isCode(cause, 'EISDIR')) throw cause;
    await symlink(await readlink(from), to);
  }
  await own(path, options);
}

async function write(path: string, options: BaseBackupOptions & { readonly text: string }): Promise<void> {
  await writeFile(join(options.to, path), options.text, { mode: 0o600 });
  await own(path, options);
}

async function own(path: string, { to, account }: BaseBackupOptions): Promise<void> {
  if (account !== undefined) await lchown(join(to, path), account.uid, account.gid);
}

function isCode(cause: unknown, code: string): boolean {
  return cause instanceof Error && Reflect.get(cause, 'code') === code;
}
