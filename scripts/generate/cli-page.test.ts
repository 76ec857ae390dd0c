import { expect, test } from 'vitest';
import { cliPage } from './cli-page.ts';
import { commands, pages } from './pages.ts';

const page = pages.find(({ path }) => path === 'docs/reference/cli.md')?.make() ?? '';

test('each command that does something has its section, with its arguments and its own flags', () => {
  const headings = [...page.matchAll(/^## `event-runtime (.*)`$/gm)].map(([, words]) => words);
  for (const words of ['start', 'explain [code]', 'slot drop', 'sinks pause <sink>', 'config schema']) {
    expect(headings).toContain(words);
  }
  expect(headings).not.toContain('sinks');
  expect(new Set(headings).size).toBe(headings.length);
  const drop = page.slice(page.indexOf('## `event-runtime slot drop`')).split('\n## ')[0];
  expect(drop).toContain('| `--dry-run` | say what would change, and change nothing |');
});

test('the flags of settings are on their own page', () => {
  expect(page).not.toContain('| `--relay-name');
  expect(page).not.toContain('| `--config');
  const [start] = page.slice(page.indexOf('## `event-runtime start`')).split('\n## ');
  expect(start).toContain('Flags of [settings](settings.md)');
  const [explain] = page.slice(page.indexOf('## `event-runtime explain')).split('\n## ');
  expect(explain).not.toContain('Flags of [settings]');
});

test('where there are flags of settings alone, nothing is announced behind them', () => {
  const bare = cliPage(commands(), () => true);
  expect(bare).toContain('`--no-config`.\n');
  expect(bare).not.toContain('and:');
  const announced = page.match(/and:\n\n\| flag \|/g) ?? [];
  expect(announced.length).toBeGreaterThan(5);
  expect(page.match(/and:/g)).toHaveLength(announced.length);
});

test('a second name of a command is told with it', () => {
  expect(page).toContain(
    '## `event-runtime slot show`\n\nShow its state. Also `event-runtime slot status`.\n',
  );
});
