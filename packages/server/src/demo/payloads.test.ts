import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { githubExamples } from './github-examples.ts';
import { oddPayloads } from './odd-payloads.ts';

const definitions = createRequire(import.meta.url)('@octokit/webhooks-examples') as ReadonlyArray<{
  readonly name: string;
  readonly examples: readonly unknown[];
}>;

test('every example of the package is there once, unchanged as a value', () => {
  const given = definitions.flatMap(({ name, examples }) =>
    examples.map((example) => ({ name, text: JSON.stringify(example) })),
  );
  const made = githubExamples();
  expect(made.length).toBeGreaterThan(300);
  expect(made.map(({ text }) => JSON.stringify(JSON.parse(text)))).toEqual(given.map(({ text }) => text));
  expect(made.every(({ type }, index) => type.startsWith(`github.${given[index]?.name}`))).toBe(true);
});

test('types and keys are made of what the payload says', () => {
  const made = githubExamples();
  expect(new Set(made.map(({ type }) => type))).toContain('github.issues.opened');
  expect(new Set(made.map(({ type }) => type))).toContain('github.ping');
  const keys = new Set(made.map(({ entityKey }) => entityKey));
  expect(keys).toContain('Codertocat/Hello-World');
  expect(keys).toContain('Codertocat/Hello-World#issue/1');
  expect([...keys].filter((key) => key === '' || /undefined|null/.test(key))).toEqual([]);
});

test('the hash is that of the UTF-8 bytes', () => {
  for (const { text, sha256 } of [...githubExamples(), ...oddPayloads(5_000)]) {
    expect(sha256).toBe(createHash('sha256').update(Buffer.from(text, 'utf8')).digest('hex'));
  }
});

test('the odd payloads are JSON, and a parser that writes them anew changes each but the large one', () => {
  const odd = oddPayloads(5 * 1024 * 1024);
  const unchanged = odd.filter(({ text }) => JSON.stringify(JSON.parse(text)) === text);
  expect(unchanged.map(({ type }) => type)).toEqual(['odd.large']);
  expect(Buffer.byteLength(odd.at(-1)?.text ?? '')).toBe(5 * 1024 * 1024);
  const all = odd.map(({ text }) => text).join('\n');
  for (const part of ['1.0', '9007199254740993', String.raw`\u0000`, '\u{1f40d}', ' \t\r\n{'])
    expect(all).toContain(part);
});
