import { expect, test } from 'vitest';
import { logEventsPage } from './log-events-page.ts';
import { pages } from './pages.ts';

test('each event is a row, in the order of the table', () => {
  const page = logEventsPage({ 'relay.slot.created': 'A slot | was made.', 'a.b': 'Begins with <a>.' });
  const rows = ['| `relay.slot.created` | A slot \\| was made. |', '| `a.b` | Begins with &lt;a>. |', ''];
  expect(page).toContain(rows.join('\n'));
});

test.each(['relay', 'Relay.up', 'relay up', 'relay.'])('the name %j is refused', (name) => {
  expect(() => logEventsPage({ [name]: '' })).toThrow(name);
});

test('the real page can be made', () => {
  const page = pages.find(({ path }) => path === 'docs/reference/log-events.md')?.make();
  expect(page).toContain('`relay.started`');
});
