import * as v from 'valibot';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { StandardSchema } from '../catalog/standard-schema.ts';
import { issueText } from './issue-text.ts';

async function textOf(schema: StandardSchema, data: unknown): Promise<string> {
  const result = await schema['~standard'].validate(data);
  if (result.issues === undefined) throw new Error('the data was expected to be refused');
  return issueText(result.issues, { vendor: schema['~standard'].vendor, data });
}

test('path and message, one after the other', async () => {
  const schema = z.object({ lines: z.array(z.object({ total: z.number().positive() })), id: z.string() });
  expect(await textOf(schema, { lines: [{ total: -3 }] })).toBe(
    'lines.0.total: Too small: expected number to be >0; id: Invalid input: expected string, received undefined',
  );
});

test('an issue of the whole value has no path', async () => {
  expect(await textOf(z.object({}), 'text')).toBe('Invalid input: expected object, received string');
});

test('Valibot prints the value it met; the message does not', async () => {
  const email = v.object({ email: v.pipe(v.string(), v.trim(), v.toLowerCase(), v.email()) });
  const text = await textOf(email, { email: ' Ana.Souza "x" ' });
  expect(text).toBe('email: Invalid email: Received ‹value›');
  expect(await textOf(v.object({ cpf: v.number() }), { cpf: '123.456.789-09' })).not.toContain('789');
});

test('a message written by hand is masked too, in any letter case and inside nested values', async () => {
  const schema = z.object({
    person: z
      .object({ name: z.string(), ids: z.array(z.number()) })
      .refine(() => false, { error: ({ input }) => `no ANA in ${JSON.stringify(input)}, banana` }),
  });
  const text = await textOf(schema, { person: { name: 'Ana', ids: [12345] } });
  expect(text).toBe('person: no ‹value› in {"name":"‹value›","ids":[‹value›]}, banana');
});

test('a message made of a large value is left out, and a large value does no harm', () => {
  const data = 'x'.repeat(5_000_000);
  const textFor = (message: string): string => issueText([{ message }], { vendor: 'own', data });
  expect(textFor('must be short')).toBe('must be short');
  expect(textFor(`must not be ${data}`)).toBe('‹value›');
});

test('cyclic data, pattern characters and many issues are no trap', () => {
  const data: { self?: unknown; text: string } = { text: 'a(b' };
  data.self = data;
  const issues = Array.from({ length: 25 }, () => ({ message: 'not a(b !' }));
  const text = issueText(issues, { vendor: 'own', data });
  expect(text).toContain('not ‹value› !');
  expect(text).toContain('and 5 more');
  expect(text).not.toContain('a(b');
});
