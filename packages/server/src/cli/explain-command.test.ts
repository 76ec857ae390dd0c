import { expect, test } from 'vitest';
import { composition } from './commands.ts';
import { errorCatalog } from './error-catalog.ts';
import { nearCodes } from './near-codes.ts';
import { recordedTerminal } from './recorded-terminal.suite.ts';
import { run } from './run.ts';

async function explain(...args: string[]): Promise<{ code: number; out: string; notes: string }> {
  const { terminal, out, notes } = recordedTerminal();
  const code = await run({
    args: ['explain', ...args],
    terminal,
    env: {},
    signal: new AbortController().signal,
    composition,
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

test('a code: what happened, what to do, whether trying again helps, where more is written', async () => {
  const lines = [
    'ER1203  A stopped relay can fill the disk: max_slot_wal_keep_size is unlimited.',
    "    → Run `ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();`.",
    '    It stays so until somebody acts.',
    '    docs/operations/doctor.md#er1203',
  ];
  for (const typed of ['ER1203', 'er1203', '1203']) {
    expect(await explain(typed)).toEqual({ code: 0, out: lines.join('\n'), notes: '' });
  }
  expect((await explain('ER2009')).out).toContain('may succeed later by itself');
  const json = await explain('ER2001', '--json');
  expect(JSON.parse(json.out)).toEqual({
    code: 'ER2001',
    meaning: 'The event data does not fit its schema.',
    remedy: 'Correct the data, or give the event a new version with a new schema.',
    retryable: false,
    page: 'docs/reference/errors.md#er2001',
  });
});

test('without a code all are listed, those of producers and receivers too', async () => {
  const { code, out } = await explain();
  expect(code).toBe(0);
  expect(out.split('\n').map((line) => line.slice(0, 6))).toEqual(Object.keys(errorCatalog).toSorted());
  expect(out).toMatch(/^ER2102 {2}The webhook was signed too long ago/m);
  const { errors } = JSON.parse((await explain('--json')).out) as { errors: unknown[] };
  expect(errors).toHaveLength(Object.keys(errorCatalog).length);
});

test('a code that there is not: exit code 2, and those that are near', async () => {
  const person = await explain('ER1023');
  expect(person).toMatchObject({ code: 2, out: '' });
  expect(person.notes).toMatch(
    /ER5009[\s\S]*"ER1023"; near it are ER1003, ER1203, ER1323\.[\s\S]*→ Run `event-runtime explain`/,
  );
  const json = await explain('slot', '--json');
  expect(json.code).toBe(2);
  expect(JSON.parse(json.out)).toMatchObject({
    error: { code: 'ER5009', detail: '"slot" is not one: ER and four digits.' },
  });
  // No words of the language that the catalogue is kept in are codes.
  expect((await explain('constructor')).notes).toContain('ER5009');
});

test.each([
  ['ER1023', ['ER1203']],
  ['ER1304', ['ER1303', 'ER1301']],
  ['ER9999', []],
  ['slot', []],
])('near %s: %j', (given, near) => {
  expect(nearCodes(given, ['ER1203', 'ER1301', 'ER1303', 'ER4012'])).toEqual(near);
});
