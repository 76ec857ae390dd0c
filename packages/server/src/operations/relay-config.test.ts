import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { composition } from '../cli/commands.ts';
import { recordedTerminal } from '../cli/recorded-terminal.suite.ts';
import { run } from '../cli/run.ts';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly notes: string;
}

async function printed(
  relay: string,
  url: string,
  { slot, flags = [] }: { readonly slot?: string; readonly flags?: readonly string[] } = {},
): Promise<Ran> {
  const { terminal, out, notes } = recordedTerminal();
  const code = await run({
    args: [
      ...['relay-config', relay, '--no-config', ...flags],
      ...(slot === undefined ? [] : ['--relay-slot', slot]),
    ],
    terminal,
    env: { DATABASE_URL: url },
    signal: new AbortController().signal,
    composition,
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

/** As java.util.Properties reads them. Throws for a line that is none, and for a key that comes twice. */
function properties(text: string): Map<string, string> {
  const pairs = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, key, value] = /^([\w.-]+)=(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) throw new Error(`no property: ${line}`);
    if (/(?<!\\)(?:\\\\)*\\$|[^\x20-\x7e]/.test(value)) throw new Error(`not escaped: ${line}`);
    if (pairs.has(key)) throw new Error(`${key} comes twice`);
    pairs.set(
      key,
      value.replaceAll(/\\(?:u([0-9a-f]{4})|(.))/g, (_, hex: string | undefined, one: string) =>
        hex === undefined ? one : String.fromCharCode(Number.parseInt(hex, 16)),
      ),
    );
  }
  return pairs;
}

const url = 'postgres://relay%20one:s3cr3t%2Fword@db.internal:6543/shop%C3%A9?sslmode=require';

test('debezium: properties, with names from the configuration, and the password from the environment', async () => {
  const { code, out, notes } = await printed('debezium', url, { slot: 'shop' });
  expect({ code, notes }).toEqual({ code: 0, notes: '' });
  expect(out).not.toMatch(/s3cr3t/);
  const pairs = properties(out);
  const source = (key: string): string | undefined => pairs.get(`debezium.source.${key}`);
  expect(source('database.hostname')).toBe('db.internal');
  expect(source('database.port')).toBe('6543');
  expect(source('database.user')).toBe('relay one');
  expect(source('database.password')).toBe('${DATABASE_PASSWORD}');
  expect(source('database.dbname')).toBe('shopé');
  expect(source('database.sslmode')).toBe('require');
  expect(source('slot.name')).toBe('shop_debezium');
  expect(source('publication.name')).toBe('event_runtime');
  expect(source('publication.autocreate.mode')).toBe('disabled');
  expect(source('table.include.list')).toBe('event_runtime.outbox');
  const router = (key: string): string | undefined => pairs.get(`debezium.transforms.outbox.${key}`);
  expect(router('type')).toBe('io.debezium.transforms.outbox.EventRouter');
  expect(router('table.field.event.id')).toBe('event_id');
  expect(router('table.field.event.key')).toBe('entity_key');
  expect(router('table.expand.json.payload')).toBe('false');
  expect(router('table.fields.additional.placement')?.split(',')).toContain('tenant_id:header:tenant');
  expect(pairs.get('debezium.format.value')).toBe('simplestring');
  // Nothing but the password is looked up in the environment.
  expect([...pairs.values()].filter((value) => value.includes('${'))).toEqual(['${DATABASE_PASSWORD}']);
});

test('debezium: what would be an expression or an escape stays a text', async () => {
  const { out } = await printed('debezium', 'postgres://%24%7BHOME%7D%5C:x@localhost/a');
  expect(properties(out).get('debezium.source.database.user')).toBe('\\${HOME}\\');
});

test('sequin: YAML, with names from the configuration, and the password from the environment', async () => {
  const { code, out, notes } = await printed('sequin', url, { slot: 'shop' });
  expect({ code, notes }).toEqual({ code: 0, notes: '' });
  expect(out).not.toMatch(/s3cr3t/);
  const config = parse(out) as Record<string, Array<Record<string, unknown>>>;
  expect(config).toMatchObject({
    databases: [
      {
        hostname: 'db.internal',
        port: 6543,
        database: 'shopé',
        username: 'relay one',
        password: '${DATABASE_PASSWORD}',
        ssl: true,
        slot: { name: 'shop_sequin', create_if_not_exists: true },
        publication: { name: 'event_runtime', create_if_not_exists: false },
      },
    ],
    sinks: [
      {
        source: { include_tables: ['event_runtime.outbox'] },
        tables: [{ name: 'event_runtime.outbox', group_column_names: ['tenant_id', 'entity_key'] }],
        actions: ['insert'],
        destination: { type: 'nats' },
      },
    ],
  });
  // Every name that is referred to is there.
  const names = (part: string): unknown[] => (config[part] ?? []).map(({ name }) => name);
  const [sink] = config['sinks'] ?? [];
  expect(names('functions')).toEqual([sink?.['transform'], sink?.['routing']]);
  expect(names('databases')).toEqual([sink?.['database']]);
  const route = String(config['functions']?.[1]?.['code']);
  expect(route).toContain('"Nats-Msg-Id" => to_string(record["event_id"])');
  expect(route.split('\n').at(-1)).toBe('end');
});

test('every column that is named is one of the outbox, and the outbox has no other that an event is made of', async () => {
  const dump = await readFile(
    new URL('../../../runtime/migrations/schema.dump.txt', import.meta.url),
    'utf8',
  );
  const columns = [...dump.matchAll(/^outbox\.(\w+) /gm)].map(([, column]) => column ?? '');
  const debezium = properties((await printed('debezium', url)).out);
  const router = [...debezium].filter(([key]) => key.startsWith('debezium.transforms.outbox.'));
  const placed = router
    .find(([key]) => key.endsWith('placement'))?.[1]
    .split(',')
    .map((each) => each.split(':')[0] ?? '');
  const fields = router.filter(([key]) => key.includes('.table.field.event.')).map(([, column]) => column);
  const named = [...fields, ...(placed ?? [])];
  expect(named.filter((column) => !columns.includes(column))).toEqual([]);
  const own = ['tx_id', 'idempotency_key'];
  expect(columns.filter((column) => !own.includes(column) && !named.includes(column))).toEqual([]);
  const sequin = (await printed('sequin', url)).out;
  const read = [...sequin.matchAll(/record\["(\w+)"\]/g)].map(([, column]) => column ?? '');
  expect(read.length).toBeGreaterThan(10);
  expect(read.filter((column) => !columns.includes(column))).toEqual([]);
});

test('each has a slot of its own, with a name that PostgreSQL takes whole', async () => {
  const slots: string[] = [];
  for (const relay of ['debezium', 'sequin']) {
    const { out } = await printed(relay, 'postgres://a@[::1]/b', { slot: 'x'.repeat(63) });
    const slot = /x+_[a-z]+/.exec(out)?.[0] ?? '';
    expect(slot).toHaveLength(63);
    expect(out).toContain('::1');
    expect(out).not.toContain('[::1]');
    slots.push(slot);
  }
  expect(new Set(slots).size).toBe(2);
});

test.each(['debezium', 'sequin'])('%s with --json: the same text in one object', async (relay) => {
  const [{ out: config }, { code, out, notes }] = [
    await printed(relay, url),
    await printed(relay, url, { flags: ['--json'] }),
  ];
  expect({ code, notes }).toEqual({ code: 0, notes: '' });
  expect(config).toContain('event_runtime.outbox');
  expect(out.split('\n')).toHaveLength(1);
  expect(JSON.parse(out)).toEqual({ relay, config });
  const failed = await printed(relay, '', { flags: ['--json'] });
  expect(failed).toMatchObject({ code: 2, notes: '' });
  expect(JSON.parse(failed.out)).toMatchObject({ error: { code: 'ER5001' } });
});

test('without a URL it is a usage error', async () => {
  expect(await printed('debezium', '')).toMatchObject({
    code: 2,
    out: '',
    notes: expect.stringContaining('ER5001'),
  });
});
