import { expect, test } from 'vitest';
import { settingRows } from '../../packages/server/src/config/settings-table.ts';
import { configurationFileSource, configurationSource } from './configuration-types.ts';
import { settingsPage } from './settings-page.ts';

test('every setting has a row with its flag and variable', () => {
  const lines = settingsPage(settingRows).split('\n');
  for (const [path, { flag, env }] of settingRows) {
    const row = lines.find((line) => line.includes(`</a>\`${path}\``));
    expect(row, path).toBeDefined();
    for (const name of [flag, env]) if (name !== null) expect(row).toContain(`\`${name}\``);
  }
});

test('no secret has a default or an example', () => {
  const page = settingsPage(settingRows);
  expect(page).toMatch(/`DATABASE_URL` \| needed \|/);
  expect(page).toContain("databaseUrl: 'env:DATABASE_URL',");
});

test('a group without a title is refused', () => {
  const setting = settingRows[0]![1];
  expect(() => settingsPage([['new.thing', setting]])).toThrow('the group new has no title');
});

test('the types: a group is an object, and a file may leave anything out', () => {
  const rows = settingRows.filter(([path]) => ['databaseUrl', 'relay.pollMs', 'http.port'].includes(path));
  const plain = (source: string): string => source.replaceAll(/ *(\/\*\*[^]*?\*\/|\/\/.*)\n/g, '');
  expect(plain(configurationSource(rows))).toContain(
    [
      'export interface Configuration {',
      '  readonly databaseUrl: string;',
      '  readonly relay: {',
      '    readonly pollMs: number;',
      '  };',
      '  readonly http: {',
      '    readonly port: number;',
      '  };',
      '}',
    ].join('\n'),
  );
  expect(plain(configurationFileSource(rows))).toContain(
    [
      '  readonly databaseUrl?: SecretReference | undefined;',
      '  readonly relay?: {',
      '    readonly pollMs?: number | string | undefined;',
      '  };',
    ].join('\n'),
  );
});
