import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { readMigrations } from './migration-files.ts';
import { checkServer } from './server-check.ts';

async function directoryWith(files: Readonly<Record<string, string>>): Promise<URL> {
  const path = await mkdtemp(join(tmpdir(), 'migrations-'));
  onTestFinished(() => rm(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return pathToFileURL(`${path}/`);
}

test('the package brings its migrations in order', async () => {
  const migrations = await readMigrations();
  expect(migrations.map((migration) => migration.number)).toEqual(migrations.map((_, index) => index + 1));
  expect(migrations[0]?.name).toBe('foundation');
});

test('the breaking mark counts in the first comment only', async () => {
  const directory = await directoryWith({
    '0001_a.sql': '-- About a.\n-- breaking\nselect 1;\n',
    '0002_b.sql': '-- breaking\r\nselect 1;\r\n',
    '0003_c.sql': 'select 1;\n-- breaking\n',
    '0004_d.sql': '-- not breaking news\nselect 1;\n',
    'schema.dump.txt': 'no migration',
  });
  const migrations = await readMigrations(directory);
  expect(migrations.map((migration) => migration.breaking)).toEqual([true, true, false, false]);
});

test('line ends do not change a checksum, text does', async () => {
  const [unix, windows, other] = await readMigrations(
    await directoryWith({ '0001_a.sql': 'a\nb\n', '0002_a.sql': 'a\r\nb\r\n', '0003_a.sql': 'a\nc\n' }),
  );
  expect(unix?.checksum).toBe(windows?.checksum);
  expect(unix?.checksum).not.toBe(other?.checksum);
});

test('a missing number is refused', async () => {
  const directory = await directoryWith({ '0001_a.sql': 'select 1', '0003_c.sql': 'select 1' });
  await expect(readMigrations(directory)).rejects.toThrow('migration 3 stands where 2 belongs');
});

test('servers: 15 to 18 pass, older and not UTF8 are refused, newer are warned of', () => {
  expect(checkServer({ versionNumber: 150_000, encoding: 'UTF8' })).toBeUndefined();
  expect(checkServer({ versionNumber: 180_004, encoding: 'UTF8' })).toBeUndefined();
  expect(checkServer({ versionNumber: 190_000, encoding: 'UTF8' })).toContain('PostgreSQL 19');
  expect(() => checkServer({ versionNumber: 140_011, encoding: 'UTF8' })).toThrow('ER1006');
  expect(() => checkServer({ versionNumber: 180_004, encoding: 'LATIN1' })).toThrow('ER1005');
});
