import { expect, test } from 'vitest';
import { errorsPage } from './errors-page.ts';
import { pages } from './pages.ts';

const entry = { meaning: 'It broke.', remedy: 'Run `a | b`.', retryable: true };

test('each code is a row with an anchor, in order', () => {
  const page = errorsPage([
    { title: 'Things', catalog: { ER1002: entry, ER1001: { ...entry, retryable: false } } },
  ]);
  expect(page).toContain(
    [
      '## Things',
      '',
      '| Code | What happened | What to do | Retryable |',
      '|---|---|---|---|',
      '| <a id="er1001"></a>ER1001 | It broke. | Run `a \\| b`. | no |',
      '| <a id="er1002"></a>ER1002 | It broke. | Run `a \\| b`. | yes |',
      '',
    ].join('\n'),
  );
});

test('angle brackets are text, and stay as they are inside of code', () => {
  const catalog = { ER1001: { ...entry, meaning: 'a <b> c', remedy: 'run `x <y>`' } };
  expect(errorsPage([{ title: 'Things', catalog }])).toContain('| a &lt;b> c | run `x <y>` |');
});

test('one code for two errors is refused', () => {
  const group = { title: 'Things', catalog: { ER1001: entry } };
  expect(() => errorsPage([group, group])).toThrow('two errors have the code ER1001');
});

test('a key that is no code is refused', () => {
  expect(() => errorsPage([{ title: 'Things', catalog: { E1: entry } }])).toThrow('not an error code: E1');
});

test('the real page can be made, and knows both sides', () => {
  const page = pages.find(({ path }) => path === 'docs/reference/errors.md')?.make();
  expect(page).toContain('ER1001');
  expect(page).toContain('ER2001');
});
