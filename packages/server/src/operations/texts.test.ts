import { expect, test } from 'vitest';
import { plot } from './lag-plot.ts';
import { platformOf } from './platform.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { table } from './table.ts';

test('bytes, seconds and counts as people read them', () => {
  expect([0, 1_023, 1_024, 104_857_600, 3.1 * 2 ** 30, 2 ** 52].map(bytesText)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '100 MiB',
    '3.1 GiB',
    '4096 TiB',
  ]);
  expect([0, 0.44, 12.4, 119, 300, 10_800, 200_000].map(secondsText)).toEqual([
    '0.0 s',
    '0.4 s',
    '12 s',
    '119 s',
    '5 min',
    '3 h',
    '2 d',
  ]);
  expect([countText(1_842), countText(10_000, 10_000), countText(9_999, 10_000)]).toEqual([
    '1,842',
    '10,000 or more',
    '9,999',
  ]);
});

test('columns are as wide as they need to be', () => {
  expect(
    table(
      ['sink', 'unread'],
      [
        ['webhooks', '7'],
        ['a', ''],
      ],
    ),
  ).toEqual(['sink      unread', 'webhooks       7', 'a']);
});

test('a plot: the newest on the right, the highest at the top, little but something is seen', () => {
  const lines = plot([0, 1, 50, 100, null], { width: 6, height: 2, label: String });
  expect(lines).toEqual(['100 ┤    █ ', '  0 ┤  ▁██ ']);
  expect(plot([], { width: 3, height: 2, label: String })).toEqual(['1 ┤   ', '0 ┤   ']);
  // Only what fits is shown, and only that counts for the axis.
  expect(plot([900, 1, 2], { width: 2, height: 1, label: String })).toEqual(['2 ┤▄█']);
});

test.each([
  ['own', { roles: [], settings: [] }],
  ['rds', { roles: ['rds_superuser'], settings: [] }],
  ['rds', { roles: [], settings: ['rds.logical_replication'] }],
  ['cloudsql', { roles: ['cloudsqlsuperuser'], settings: [] }],
  ['azure', { roles: ['azure_pg_admin'], settings: ['azure.extensions'] }],
  ['supabase', { roles: ['supabase_admin'], settings: [] }],
] as const)('the platform %s is known', (platform, facts) => {
  expect(platformOf(facts)).toBe(platform);
});
