import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { eventually } from '../eventually.suite.ts';
import type { Check } from './check.ts';
import { OperationsFixture, type Ran } from './operations-fixture.suite.ts';
import { progressText } from './replay-watch.ts';

let fixture: OperationsFixture;
beforeAll(async () => {
  fixture = await OperationsFixture.create(inject('postgres')['18'], { from: fewDays });
  await fixture.live(await fixture.relay());
  await fixture.emit(40);
});
afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
});

test('a replay is counted, made, watched to its end, and listed', async () => {
  const selection = ['--sink', 'memory', '--tenant', 'acme'];
  const dry = await fixture.run(['replay', 'create', ...selection, '--dry-run']);
  expect(dry).toMatchObject({ code: 0 });
  expect(dry.out).toMatch(/^40 events would be handed to sink memory once more, recorded from 20/);
  expect((await fixture.run(['replay', 'list'])).out).toContain('There is no replay yet.');
  const drawn: string[] = [];
  const made = await fixture.run(['replay', 'create', ...selection, '--wait', '--rate', '60'], {
    onRedraw: (text) => drawn.push(text),
  });
  expect(made.notes).toMatch(/Replay \S+: 40 events for sink memory, at most 60 a second\./);
  expect(made.out).toMatch(/is done: 40 of 40 delivered\.$/);
  expect(made.code).toBe(0);
  expect(drawn.some((text) => /━─.* %  \d+\/40  /.test(text))).toBe(true);
  const { replays } = (await fixture.run(['replay', 'list', '--json'])).json() as {
    replays: [{ id: string }];
  };
  expect(replays).toMatchObject([{ sink: 'memory', state: 'done', total: 40, delivered: 40, rejected: 0 }]);
  const [{ id }] = replays;
  expect((await fixture.run(['replay', 'list'])).out).toContain(id);
  expect((await fixture.run(['replay', 'show', id, '--json'])).json()).toMatchObject({ id, state: 'done' });
  const paused = await fixture.run(['replay', 'pause', id]);
  expect([paused.code, paused.notes]).toEqual([1, expect.stringContaining('ER6004')]);
});

test('a replay is paused, resumed and cancelled by its id', async () => {
  const made = await fixture.run(['replay', 'create', '--sink', 'memory', '--all', '--rate', '1', '--json']);
  const { id } = made.json() as { id: string };
  const states: unknown[] = [];
  for (const verb of ['pause', 'resume', 'cancel']) {
    states.push((await fixture.run(['replay', verb, id, '--json'])).json()['state']);
  }
  expect(states).toEqual(['paused', 'running', 'cancelled']);
  expect((await fixture.run(['replay', 'show', id, '--wait'])).code).toBe(1);
});

test('a wait that is broken off says where the replay is, and that it goes on', async () => {
  const drawn: string[] = [];
  const brokenOff = async (words: readonly string[]): Promise<Ran> => {
    const stop = new AbortController();
    return await fixture.run([...words, '--wait'], {
      signal: stop.signal,
      onRedraw: (text) => {
        drawn.push(text);
        // Between two looks: there the connection ends, and the next look would fail.
        setImmediate(() => stop.abort());
      },
    });
  };
  const made = await brokenOff(['replay', 'create', '--sink', 'memory', '--all', '--rate', '1']);
  const [, id = ''] = /^Replay (\S+):/.exec(made.notes) ?? [];
  const shown = await brokenOff(['replay', 'show', id]);
  for (const { code, out } of [made, shown]) {
    const [state, rest] = out.split('\n');
    expect(state).toMatch(`Replay ${id} for sink memory is running: `);
    expect(rest).toBe(`It goes on: \`event-runtime replay cancel ${id}\` ends it.`);
    expect(code).toBe(1);
  }
  expect(drawn.at(-1)).toBe('');
  expect((await fixture.run(['replay', 'cancel', id])).out).toContain('Now: ');
});

test('a command that is stopped in the middle of a statement says that, and no error', async () => {
  const other = await fixture.connect();
  await other.query('begin; lock table event_runtime.replay in access exclusive mode');
  const stop = new AbortController();
  const listing = fixture.run(['replay', 'list'], { signal: stop.signal });
  await eventually(
    async () => {
      const { rows } = await fixture.sql.query<{ waiting: boolean }>(
        `select exists (select from pg_stat_activity where datname = current_database()
           and application_name = 'event-runtime operator' and wait_event_type = 'Lock') as waiting`,
      );
      return rows[0]?.waiting ?? false;
    },
    (waiting) => waiting,
  );
  stop.abort();
  const stopped = await listing;
  await other.query('rollback');
  expect(stopped).toMatchObject({ code: 1, out: '', notes: 'stopped' });
});

test('one that nobody hands over says so wherever it is looked at', async () => {
  await fixture.sql.query(
    `insert into event_runtime.relay_checkpoint (relay, sink, epoch, system_identifier, timeline, snapshot)
     select relay, 'gone', 1, system_identifier, timeline, snapshot from event_runtime.relay_checkpoint`,
  );
  const why = 'the relay that runs does not feed sink gone (is it in its configuration?)';
  const made = await fixture.run(['replay', 'create', '--sink', 'gone', '--all']);
  expect(made.out).toMatch(/40 events for sink gone, at most 500 a second\.\nIt does not begin yet: /);
  expect(made.out).toContain(why);
  const [, id = ''] = /^Replay (\S+):/.exec(made.out) ?? [];
  expect((await fixture.run(['replay', 'show', id])).out).toContain(`is running: 0 of 40 delivered; ${why}.`);
  expect((await fixture.run(['replay', 'list'])).out).toContain(why);
  const status = await fixture.run(['status']);
  expect(status.out).toMatch(/replays +1 running, 40 events to go/);
  const seen = async (replaySeconds: number): Promise<Check | undefined> =>
    (await fixture.doctor({ limits: { replaySeconds } })).find(({ code }) => code === 'ER1323');
  expect(await seen(0)).toMatchObject({ state: 'warn', seen: expect.stringContaining(why) as unknown });
  expect(await seen(3_600)).toMatchObject({ state: 'ok' });
  expect((await fixture.run(['replay', 'cancel', id])).out).toMatch(/is cancelled: 0 of 40 delivered\.$/);
  expect(await seen(0)).toMatchObject({ state: 'ok', seen: 'none running' });
  await fixture.sql.query("delete from event_runtime.relay_checkpoint where sink = 'gone'");
});

test.each([
  [['replay', 'create', '--sink', 'memory'], 'ER6001', /No condition was given/],
  [['replay', 'create', '--sink', 'memory', '--all', '--rate', '1e3'], 'ER6001', /rate/],
  [
    ['replay', 'create', '--sink', 'memory', '--from', '2026-11-20 10:00'],
    'ER6001',
    /from is "2026-11-20 10:00"/,
  ],
  [['replay', 'create', '--sink', 'memory', '--event', 'x'], 'ER6001', /no id of an event/],
  [
    ['replay', 'create', '--sink', 'memory', '--event', '01a1fc00-0000-7abc-8123-456789abcdef'],
    'ER6002',
    /1 of 1/,
  ],
  [['replay', 'create', '--sink', 'memry', '--all'], 'ER1320', /relay_.* has memory/],
  [['replay', 'show', "' or true --"], 'ER6003', /or true/],
  [
    ['sinks', 'rewind', 'webhooks', '--to', '2026-11-20'],
    'ER6005',
    /event-runtime replay create --sink webhooks/,
  ],
  [['sinks', 'rewind', 'memory', '--to', 'yesterday'], 'ER6001', /to is "yesterday"/],
] as const)('%j is refused: %s', async (args, code, text) => {
  const ran = await fixture.run([...args]);
  expect(ran.code).not.toBe(0);
  expect(ran.notes).toContain(code);
  expect(ran.notes).toMatch(text);
});

test('a sink is rewound to the beginning, after it was counted', async () => {
  const args = ['sinks', 'rewind', 'memory', '--to', 'beginning'];
  expect((await fixture.run([...args, '--dry-run'])).out).toMatch(
    /^Sink memory would go on from the beginning of the outbox: \d+ events that it had, \d+ that it had not\.\nNothing was changed\.$/,
  );
  const { events, changed } = (await fixture.run([...args, '--json'])).json();
  expect([events, changed]).toEqual([40, true]);
});

test('the progress has a bar, a rate, what is left and what is in the way', () => {
  const none = { sink: 'memory', waitsFor: null, trouble: null };
  const replay = { ...none, delivered: 1_361, rejected: 2, total: 1_842, trouble: 'TypeError' };
  expect(progressText(replay, { first: 363, seconds: 5 })).toBe(
    `${'━'.repeat(23)}${'─'.repeat(9)} 73 %  1,363/1,842  200/s  2.4 s to go  2 rejected  the sink does not take the next: TypeError`,
  );
  const empty = { ...none, delivered: 0, rejected: 0, total: 0 };
  expect(progressText(empty, { first: 0, seconds: 0 })).toBe(`${'━'.repeat(32)} 100 %  0/0  0/s`);
});
