import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readConfigFile } from './config-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'event-runtime-config-'));
});
afterEach(async () => await rm(directory, { recursive: true }));

const { signal } = new AbortController();
const put = async (name: string, text: string): Promise<void> => await writeFile(join(directory, name), text);

async function refusal(
  options: { readonly named?: string; readonly typescript?: boolean } = {},
): Promise<string> {
  const error: unknown = await readConfigFile({ directory, signal, ...options }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'ER5001' });
  // What a cause says is printed as well.
  expect((error as Error).cause).toBeUndefined();
  return (error as Error).message;
}

test('none is needed', async () => {
  await put('config.json', '{}');
  expect(await readConfigFile({ directory, signal })).toBeUndefined();
});

test.each([
  ['json', '{"log": {"level": "warn"}}'],
  ['mjs', `export default { log: { level: 'warn' } };`],
  ['mts', `const level: string = 'warn';\nexport default { log: { level } };`],
])('event-runtime.config.%s is found', async (extension, text) => {
  const name = `event-runtime.config.${extension}`;
  await put(name, text);
  const file = await readConfigFile({ directory, signal });
  expect(file).toEqual({ name, path: join(directory, name), content: { log: { level: 'warn' } } });
});

test('a file that is named is read instead of the one that is there', async () => {
  await put('event-runtime.config.json', '{"a": 1}');
  await put('other.json', '{"b": 2}');
  expect((await readConfigFile({ directory, named: 'other.json', signal }))?.content).toEqual({ b: 2 });
});

test('a promise is waited for', async () => {
  await put('a.mjs', 'export default Promise.resolve({ b: 2 });');
  expect((await readConfigFile({ directory, named: 'a.mjs', signal }))?.content).toEqual({ b: 2 });
});

test('two files are one too many', async () => {
  await put('event-runtime.config.json', '{}');
  await put('event-runtime.config.mjs', 'export default {}');
  expect(await refusal()).toContain(
    'event-runtime.config.mjs and event-runtime.config.json are both there. — Keep one of them, or name it with --config.',
  );
});

test('a file that is named and not there', async () => {
  expect(await refusal({ named: 'conf/none.json' })).toContain(
    'The configuration file conf/none.json is not there.',
  );
});

test('a file of another kind', async () => {
  await put('a.yaml', 'a: 1');
  expect(await refusal({ named: 'a.yaml' })).toContain(
    'a.yaml has none of the endings .ts, .mts, .js, .mjs, .json.',
  );
});

test('a Node that does not read TypeScript is told plainly, with what to do', async () => {
  await put('event-runtime.config.ts', 'export default {}');
  expect(await refusal({ typescript: false })).toContain(
    `event-runtime.config.ts is TypeScript, which this Node (${process.version}) does not read. — Use Node 22.18 or later without --no-strip-types, or write event-runtime.config.mjs or .json.`,
  );
  await put('b.mjs', 'export default {}');
  expect(await readConfigFile({ directory, named: 'b.mjs', signal, typescript: false })).toBeDefined();
});

test.each([
  ['{"databaseUrl": hunter2}', ''],
  ['{"databaseUrl": "hunter2" "x"}', ' (line 1 column 27)'],
  ['{"databaseUrl": "hunter2', ' (line 1 column 25)'],
])('JSON that is none: %s, with the place if it is known, and none of its text', async (text, place) => {
  await put('a.json', text);
  const message = await refusal({ named: 'a.json' });
  expect(message).toContain(`a.json is not valid JSON${place}. — Correct it:`);
  expect(message).not.toContain('hunter2');
});

test('a module without default export', async () => {
  await put('a.mjs', 'export const databaseUrl = 1;');
  expect(await refusal({ named: 'a.mjs' })).toContain(
    'a.mjs has no default export. — Write `export default defineConfig(',
  );
});

test('a module that throws', async () => {
  await put('a.mjs', `throw new Error('no DOMAIN for postgres://u:hunter2@h/db\\nmore');`);
  const message = await refusal({ named: 'a.mjs' });
  expect(message).toContain('a.mjs failed when it was evaluated: "no DOMAIN for postgres://***@h/db".');
});

test('a signal ends it', async () => {
  await put('event-runtime.config.json', '{}');
  const ended = AbortSignal.abort(new Error('told to stop'));
  await expect(readConfigFile({ directory, signal: ended })).rejects.toThrow('told to stop');
});
