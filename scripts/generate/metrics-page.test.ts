import { expect, test } from 'vitest';
import { metricsPage } from './metrics-page.ts';
import { pages } from './pages.ts';

test('each metric is a row, in the order of the table', () => {
  const page = metricsPage({
    b_total: { type: 'counter', labels: ['sink', 'mode'], help: 'Of a | b.' },
    a_b: { type: 'gauge', labels: [], help: 'Begins with <a>.' },
  });
  const rows = [
    '| <a id="b_total"></a>`b_total` | counter | `sink`, `mode` | Of a \\| b. |',
    '| <a id="a_b"></a>`a_b` | gauge |  | Begins with &lt;a>. |',
    '',
  ];
  expect(page).toContain(rows.join('\n'));
});

test.each(['up', 'a-b_c', 'A_b', '_a_b'])('the name %j is refused', (name) => {
  expect(() => metricsPage({ [name]: { type: 'gauge', labels: [], help: '' } })).toThrow(name);
});

test('the real page can be made', () => {
  const page = pages.find(({ path }) => path === 'docs/reference/metrics.md')?.make();
  expect(page).toContain('`event_runtime_sink_oldest_undelivered_seconds`');
});
