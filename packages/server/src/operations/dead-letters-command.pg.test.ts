import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { eventually } from '../eventually.suite.ts';
import { OperationsFixture } from './operations-fixture.suite.ts';

let fixture: OperationsFixture;
beforeAll(async () => {
  fixture = await OperationsFixture.create(inject('postgres')['18'], { from: fewDays });
  await fixture.live(await fixture.relay());
});
afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
});
afterEach(async () => {
  await fixture.sql.query('delete from event_runtime.dead_letter');
});

interface Given {
  readonly sink?: string;
  readonly type?: string;
  readonly reason?: string;
  readonly payload?: string;
  readonly key?: string | null;
  readonly version?: number | null;
  readonly endpoint?: string | null;
}

/** As a sink that gave up on an event leaves it. */
async function letter(given: Given = {}): Promise<string> {
  const { sink = 'memory', type = 'order.placed', reason = 'no column 7', payload = '{}', key = 'k' } = given;
  const { rows } = await fixture.sql.query<{ id: string }>(
    `insert into event_runtime.dead_letter
       (tenant_id, sink, event_id, event_recorded_at, seq, entity_key, event_type, reason_code, reason, attempts, payload,
        event_version, endpoint_id, relay)
     values ('acme', $1, gen_random_uuid(), now(), 7, $2, $3, 'rejected', $4, 1, $5, $6, $7, $8)
     returning dead_letter_id as id`,
    [
      sink,
      key,
      type,
      reason,
      payload,
      given.version === undefined ? 1 : given.version,
      given.endpoint ?? null,
      given.endpoint === undefined ? fixture.name : '',
    ],
  );
  return rows[0]?.id ?? '';
}

test('letters are listed by groups, and one by one page after page', async () => {
  expect((await fixture.run(['dead-letters'])).out).toBe('There is no dead letter.');
  await letter();
  await letter({ reason: 'no column 12' });
  await letter({ type: 'other' });
  const groups = await fixture.run(['dead-letters', 'list']);
  expect(groups.out.split('\n')).toHaveLength(3);
  expect(groups.out).toMatch(/^group +letters +redriving +sink/);
  const { groups: told } = (
    await fixture.run(['dead-letters', 'list', '--type', 'order.*', '--json'])
  ).json() as {
    groups: [{ group: string }];
  };
  expect(told).toMatchObject([{ letters: 2, sink: 'memory', eventType: 'order.placed', redriving: 0 }]);
  const [{ group }] = told;
  const first = await fixture.run([
    'dead-letters',
    'list',
    '--all',
    '--group',
    group,
    '--limit',
    '1',
    '--json',
  ]);
  const page = first.json() as { letters: [{ id: string }]; next: string };
  expect(page.letters).toHaveLength(1);
  const rest = await fixture.run(['dead-letters', 'list', '--all', '--group', group, '--after', page.next]);
  expect(rest.out.split('\n')).toHaveLength(2);
  expect(rest.out).not.toContain(page.letters[0].id);
});

test('one is shown with its payload; nothing in it steers the terminal, and for a program it is byte for byte', async () => {
  const payload = ' {"a": 1.0,\n "b": "\u009b2J\u202e"}';
  const id = await letter({ reason: 'a\u001b]0;owned\u0007\r\nb', payload, type: 'evil\u001b[31m' });
  const lists = [['list'], ['list', '--all'], ['show', id], ['discard', '--all', '--dry-run']];
  for (const words of lists) {
    const { out } = await fixture.run(['dead-letters', ...words]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are looked for.
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(out).toContain('evil\\u001b[31m');
  }
  const shown = await fixture.run(['dead-letters', 'show', id]);
  expect(shown.out).toContain(`${Buffer.byteLength(payload)} bytes\n {"a": 1.0,\n "b": "\\u009b2J\\u202e"}`);
  expect((await fixture.run(['dead-letters', 'show', id, '--json'])).json()).toMatchObject({ id, payload });
  expect(shown.out).not.toContain('replay ');
  const replayId = '01a1fc00-0000-7abc-8123-456789abcdef';
  await fixture.sql.query('update event_runtime.dead_letter set replay_id = $1', [replayId]);
  expect((await fixture.run(['dead-letters', 'show', id])).out).toContain(`replay     ${replayId}`);
  expect((await fixture.run(['dead-letters', 'show', id, '--json'])).json()).toMatchObject({ replayId });
});

test('a redrive is tried dry, asked for, and watched to its end', async () => {
  const ids = [await letter(), await letter({ key: null })];
  const dry = await fixture.run(['dead-letters', 'redrive', '--sink', 'memory', '--dry-run']);
  expect(dry.out).toMatch(
    /^2 letters would be handed over again: of 1 entities, and 1 without an entity\.\n/,
  );
  expect(dry.out).toMatch(/Nothing was changed\.$/);
  const drawn: string[] = [];
  const done = await fixture.run(['dead-letters', 'redrive', ...ids, '--wait'], {
    onRedraw: (text) => drawn.push(text),
  });
  expect(done).toMatchObject({ code: 0, out: '2 delivered or discarded' });
  expect(done.notes).toContain('2 letters are handed over again.');
  expect(drawn.some((text) => /━.* 100 %  2\/2/.test(text))).toBe(true);
  const again = await fixture.run(['dead-letters', 'redrive', ...ids]);
  expect([again.code, again.notes]).toEqual([1, expect.stringContaining('ER4019')]);
});

test('a wait that is broken off says what is under way', async () => {
  // No relay feeds it.
  const id = await letter({ sink: 'gone' });
  const stop = new AbortController();
  const waiting = fixture.run(['dead-letters', 'redrive', id, '--wait', '--json'], { signal: stop.signal });
  setTimeout(() => stop.abort(), 400);
  const { code, json } = await waiting;
  expect(json()).toMatchObject({ letters: 1, redriving: 1, dead: 0, gone: 0 });
  expect(code).toBe(1);
  const twice = await fixture.run(['dead-letters', 'redrive', id, '--json']);
  expect(twice.json()).toMatchObject({ letters: 0, underWay: 1 });
});

test('a wait that does not move says what for', async () => {
  const older = await letter({ sink: 'gone' });
  await fixture.sql.query('update event_runtime.dead_letter set seq = 1');
  const id = await letter({ sink: 'gone' });
  const stop = new AbortController();
  const waiting = fixture.run(['dead-letters', 'redrive', id, '--wait'], {
    signal: stop.signal,
    onNote: (line) => {
      if (line.startsWith('The relay of')) stop.abort();
    },
  });
  const { notes, out } = await waiting;
  expect(notes).toContain(`the oldest is ${older}.`);
  expect(notes).toContain('The relay of sink gone does not run');
  expect(out).toContain('1 still under way');
});

test('a redrive is taken back; whoever waits for it is told', async () => {
  const ids = [await letter({ sink: 'gone' }), await letter({ sink: 'gone', key: null })];
  const waiting = fixture.run(['dead-letters', 'redrive', ...ids, '--wait']);
  await eventually(
    async () => {
      const dry = await fixture.run(['dead-letters', 'cancel', '--sink', 'gone', '--dry-run']);
      return dry.out;
    },
    (out) => out.startsWith('2 letters would be dead again as before.'),
  );
  const done = await fixture.run(['dead-letters', 'cancel', '--sink', 'gone']);
  expect(done).toMatchObject({ code: 0, out: '2 letters are dead again as before.' });
  expect(await waiting).toMatchObject({ code: 1, out: '0 delivered or discarded, 2 taken back' });
  expect((await fixture.run(['dead-letters', 'cancel', '--all', '--json'])).json()).toEqual({
    letters: 0,
    underWay: 0,
    waiting: 0,
  });
});

test('a discard shows how far it is', async () => {
  await letter();
  const drawn: string[] = [];
  await fixture.run(['dead-letters', 'discard', '--all', '--reason', 'x', '--yes'], {
    onRedraw: (text) => drawn.push(text),
  });
  expect(drawn.some((text) => /━.* 100 %  1\/1/.test(text))).toBe(true);
});

test('discarding needs a reason and --yes, and is logged', async () => {
  await letter();
  for (const words of [[], ['--yes'], ['--reason', 'x'], ['--reason', ' ', '--yes']]) {
    const refused = await fixture.run(['dead-letters', 'discard', '--all', ...words]);
    expect([refused.code, refused.notes]).toEqual([2, expect.stringContaining('ER5001')]);
  }
  const dry = await fixture.run(['dead-letters', 'discard', '--all', '--dry-run', '--json']);
  expect(dry.json()).toMatchObject({ letters: 1, groups: [{ letters: 1 }] });
  const done = await fixture.run(['dead-letters', 'discard', '--all', '--reason', 'sent by hand', '--yes']);
  expect(done).toMatchObject({ code: 0, out: '1 letters were deleted.' });
  expect(JSON.parse(done.notes)).toMatchObject({
    event: 'letters.discarded',
    letters: 1,
    reason: 'sent by hand',
    by: expect.stringContaining('@'),
  });
});

test('a dry discard counts what a real one would delete, however many groups that has, and refuses as it does', async () => {
  // One group more than are shown.
  await fixture.sql.query(
    `insert into event_runtime.dead_letter
       (tenant_id, sink, event_id, event_recorded_at, seq, event_type, reason_code, reason, attempts, payload,
        event_version, relay, state)
     select 'acme', 'gone', gen_random_uuid(), now(), n, 'type ' || n, 'rejected', 'no', 1, '{}', 1, $1,
            case when n <= 2 then 'redriving' else 'dead' end
       from generate_series(1, 10001) n`,
    [fixture.name],
  );
  // As autovacuum does soon.
  await fixture.sql.query('analyze event_runtime.dead_letter');
  const words = ['dead-letters', 'discard', '--sink', 'gone', '--dry-run'];
  const dry = (await fixture.run([...words, '--json'])).json() as { groups: readonly unknown[] };
  expect(dry).toMatchObject({ letters: 10_001, redriving: 2 });
  expect(dry.groups).toHaveLength(10_000);
  expect((await fixture.run(words)).out.split('\n').slice(-4)).toEqual([
    '1 letters are of further groups.',
    '10,001 letters would be deleted.',
    '2 of them are under way, and may be delivered.',
    'Nothing was changed.',
  ]);
  const unknown = '00000000-0000-7000-8000-000000000000';
  for (const how of [['--dry-run'], ['--reason', 'x', '--yes']]) {
    const refused = await fixture.run(['dead-letters', 'discard', unknown, ...how]);
    expect([refused.code, refused.notes]).toEqual([1, expect.stringContaining('ER4019')]);
  }
});

test.each([
  [['redrive'], 'ER5001', /No letter was named/],
  [['redrive', '--all', '--sink', 'memory'], 'ER5001', /--all was given/],
  [['cancel'], 'ER5001', /No letter was named/],
  [['redrive', 'x'], 'ER5001', /no id of a dead letter/],
  [['list', '--since', 'yesterday'], 'ER5001', /--since/],
  [['discard', '--since', '2026-02-31', '--dry-run'], 'ER5001', /--since is "2026-02-31"/],
  [['list', '--limit', '0'], 'ER5001', /--limit/],
  [['list', '--sink', ''], 'ER5001', /--sink is empty/],
  [['show', '00000000-0000-7000-8000-000000000000'], 'ER4019', /0000/],
  [['redirve'], '', /Did you mean redrive/],
] as const)('%j is refused', async (words, code, why) => {
  const { code: exit, notes } = await fixture.run(['dead-letters', ...words]);
  expect(exit).not.toBe(0);
  expect(notes).toContain(code);
  expect(notes).toMatch(why);
});

test('what cannot be redriven is said', async () => {
  const gone = await letter({ sink: 'webhooks', endpoint: '01a1fc00-0000-7abc-8123-456789abcdef' });
  const lost = await letter({ version: null });
  for (const [id, code] of [
    [gone, 'ER4020'],
    [lost, 'ER4021'],
  ] as const) {
    const refused = await fixture.run(['dead-letters', 'redrive', id]);
    expect([refused.code, refused.notes]).toEqual([1, expect.stringContaining(code)]);
  }
  await letter({ sink: 'gone' });
  const some = await fixture.run(['dead-letters', 'redrive', '--all']);
  expect(some.out).toMatch(
    /^1 letters are handed over again\.\n1: not possible: .*ER4020.*\n1: not .*ER4021/,
  );
});
