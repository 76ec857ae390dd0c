import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

/** One numbered migration as the package brings it. */
export interface Migration {
  readonly number: number;
  /** The file's name without number and ending: `foundation` of `0001_foundation.sql`. */
  readonly name: string;
  readonly sql: string;
  /** sha256 of the text with line ends `\n`, hexadecimal. */
  readonly checksum: string;
  /** Programs that do not know this migration must not run on its result. */
  readonly breaking: boolean;
}

/** Where the migrations lie: beside `src` and `dist` alike. */
export const migrationsDirectory: URL = new URL('../../migrations/', import.meta.url);

/**
 * The migrations of a directory (`NNNN_name.sql`), in order.
 *
 * A migration is breaking when a line of its first comment is `-- breaking`.
 *
 * @throws TypeError when numbers are missing or used twice: a mistake in the package
 */
export async function readMigrations(directory: URL = migrationsDirectory): Promise<readonly Migration[]> {
  const migrations: Migration[] = [];
  for (const file of (await readdir(directory)).toSorted()) {
    const parts = /^(\d{4})_([a-z0-9_]+)\.sql$/.exec(file);
    if (parts?.[1] === undefined || parts[2] === undefined) continue;
    const sql = (await readFile(new URL(file, directory), 'utf8')).replaceAll('\r\n', '\n');
    migrations.push({
      number: Number(parts[1]),
      name: parts[2],
      sql,
      checksum: createHash('sha256').update(sql).digest('hex'),
      breaking: /^(?:--.*\n)*?-- breaking\s*\n/.test(sql),
    });
  }
  for (const [index, migration] of migrations.entries()) {
    if (migration.number !== index + 1) {
      throw new TypeError(`migration ${migration.number} stands where ${index + 1} belongs`);
    }
  }
  return migrations;
}
