import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../eventually.suite.ts';
import { OperationsFixture } from './operations-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (version) => {
  const create = async (options?: { migrated: boolean }): Promise<OperationsFixture> =>
    await OperationsFixture.create(inject('postgres')[version], options);

  test('status: 0 when all is well, 3 when something needs attention, 1 when it cannot tell', async () => {
    await using fixture = await create();
    const idle = await fixture.run(['status']);
    expect(idle.code).toBe(3);
    expect(idle.out).toMatch(/Needs attention[\s\S]*ER1312[\s\S]*→ Run `event-runtime start`/);
    await fixture.live(await fixture.relay());
    await fixture.emit(2);
    const well = await eventually(
      () => fixture.run(['status']),
      ({ code, out }) => code === 0 && /memory +live +0/.test(out),
    );
    expect(well.out).toMatch(/slot .*: active/);
    expect(well.out).toContain('Nothing needs attention.');
    const json = await fixture.run(['status', '--json']);
    expect(json.code).toBe(0);
    expect(json.json()).toMatchObject({
      attention: [],
      report: { slot: { condition: 'active' }, sinks: [{ sink: 'memory', unreadEvents: 0 }] },
    });
    const there = fixture.url;
    const gone = new URL(there);
    gone.port = '1';
    fixture.url = gone.href;
    const unreachable = await fixture.run(['status', '--json']);
    expect(unreachable.code).toBe(1);
    expect(unreachable.json()).toMatchObject({ error: { code: 'ER1001' } });
    expect(unreachable.out).not.toContain(gone.password);
  });

  test('status before the first migration says what to run', async () => {
    await using fixture = await create({ migrated: false });
    const ran = await fixture.run(['status']);
    expect(ran.code).toBe(3);
    expect(ran.out).toMatch(/ER1101[\s\S]*event-runtime migrate/);
  });

  test('migrate --status and --plan change nothing', async () => {
    await using fixture = await create({ migrated: false });
    expect(await fixture.run(['migrate', '--status'])).toMatchObject({
      code: 3,
      out: expect.stringMatching(/^schema event_runtime: missing, version 0/),
    });
    const plan = await fixture.run(['migrate', '--plan']);
    expect(plan.out.split('\n')[0]).toBe('1 foundation');
    expect(plan.out).not.toContain('create');
    const { rows } = await fixture.sql.query("select to_regnamespace('event_runtime') as found");
    expect(rows[0]).toEqual({ found: null });
    const applied = await fixture.run(['migrate', '--quiet']);
    expect(applied).toMatchObject({ code: 0, notes: '', out: expect.stringContaining('migrations applied') });
    const status = await fixture.run(['migrate', '--status', '--json']);
    expect(status).toMatchObject({ code: 0 });
    expect(status.json()).toMatchObject({ state: 'current', drifted: [] });
    expect((await fixture.run(['migrate', '--plan', '--json'])).json()).toEqual({ pending: [] });
  });

  test('lag: once as JSON; lines or a plot until Ctrl-C, which is no failure', async () => {
    await using fixture = await create();
    await fixture.live(await fixture.relay(0));
    await fixture.emit(5);
    await eventually(
      () => fixture.run(['lag', '--json']),
      (ran) => (ran.json()['sinks'] as Array<{ unreadEvents: number }>)[0]?.unreadEvents === 5,
    );
    const stop = new AbortController();
    const lines = await fixture.run(['lag'], { signal: stop.signal, onOut: () => stop.abort() });
    expect(lines).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d\d:\d\d:\d\d {2}sink memory, unread events: 5, the oldest for /),
    });
    const plotted = new AbortController();
    const frames: string[] = [];
    const plot = await fixture.run(['lag'], {
      signal: plotted.signal,
      onRedraw: (text) => {
        frames.push(text);
        if (frames.length === 2) plotted.abort();
      },
    });
    expect(plot).toMatchObject({ code: 0, out: '' });
    expect(frames[1]).toMatch(/5 ┤ +██\n/);
    expect(frames[1]).toContain(`slot ${fixture.name}, WAL not confirmed`);
    for (const line of frames[1]!.split('\n')) expect(line.length).toBeLessThan(80);
  });

  test('sinks: listed, paused, resumed; the relay obeys; an unknown name is refused with those there are', async () => {
    await using fixture = await create();
    const none = await fixture.run(['sinks']);
    expect(none).toMatchObject({ code: 0, out: expect.stringContaining('has not run with a sink yet') });
    const relay = await fixture.relay();
    await fixture.live(relay);
    const dry = await fixture.run(['sinks', 'pause', 'memory', '--dry-run']);
    expect(dry).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Sink memory would be paused.*\nNothing was changed\.$/),
    });
    const resumed = await fixture.run(['sinks', 'resume', 'memory', '--dry-run', '--json']);
    expect(resumed.json()).toMatchObject({ paused: false, changed: false, wouldChange: false });
    expect((await fixture.run(['sinks', 'list', '--json'])).json()).toMatchObject({
      sinks: [{ paused: false }],
    });
    expect(await fixture.run(['sinks', 'pause', 'memory'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Sink memory is now paused/),
    });
    await eventually(
      async () => relay.status[0]?.mode,
      (mode) => mode === 'paused',
    );
    await fixture.emit(3);
    const again = await fixture.run(['sinks', 'pause', 'memory', '--json']);
    expect(again.json()).toMatchObject({ sink: 'memory', paused: true, changed: false });
    const listed = await fixture.run(['sinks', 'list', '--json']);
    expect(listed.json()).toMatchObject({ sinks: [{ sink: 'memory', paused: true }] });
    expect((await fixture.run(['sinks'])).out).toMatch(/memory +\w+ +yes/);
    expect((await fixture.run(['status', '--json'])).json()).toMatchObject({
      attention: [{ code: 'ER1313', fix: 'event-runtime sinks resume memory' }],
    });
    expect((await fixture.run(['sinks', 'resume', 'memory', '--json'])).json()).toMatchObject({
      changed: true,
    });
    await eventually(
      async () => relay.status[0]?.delivered,
      (delivered) => delivered === 3,
    );
    const unknown = await fixture.run(['sinks', 'pause', 'memroy']);
    expect(unknown.code).toBe(1);
    expect(unknown.notes).toMatch(/ER1320[\s\S]*"memroy"[\s\S]*has memory[\s\S]*→ Did you mean memory\?/);
    const far = await fixture.run(['sinks', 'resume', 'kafka', '--dry-run', '--json']);
    expect(far.code).toBe(1);
    expect(far.json()).toMatchObject({
      error: { code: 'ER1320', remedy: expect.stringContaining('event-runtime sinks list') },
    });
  });

  test('slot: shown, made, dropped only with --yes, and never under its reader', async () => {
    await using fixture = await create();
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({ condition: 'missing' });
    expect((await fixture.run(['slot', 'drop', '--yes'])).out).toMatch(/^There is no slot/);
    const dropless = await fixture.run(['slot', 'drop', '--dry-run', '--json']);
    expect(dropless.json()).toEqual({
      slot: fixture.name,
      dropped: false,
      wouldDrop: false,
      activePid: null,
    });
    const planned = await fixture.run(['slot', 'create', '--dry-run']);
    expect(planned.out).toMatch(/would be made[\s\S]*Nothing was changed/);
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({ condition: 'missing' });
    expect(await fixture.run(['slot', 'create'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('was made'),
      notes: expect.stringContaining('waits for every open transaction'),
    });
    expect(await fixture.run(['slot', 'create', '--quiet'])).toMatchObject({ code: 0, notes: '' });
    expect((await fixture.run(['slot', 'create', '--dry-run', '--json'])).json()).toMatchObject({
      wouldCreate: false,
    });
    expect((await fixture.run(['slot', 'create', '--json'])).json()).toMatchObject({ created: false });
    const shown = await fixture.run(['slot']);
    expect(shown.out).toMatch(/state +inactive/);
    expect(shown.out.includes('failover')).toBe(version === '18');
    const timid = await fixture.run(['slot', 'drop']);
    expect(timid).toMatchObject({ code: 2, notes: expect.stringContaining('needs --yes') });
    expect((await fixture.run(['slot', 'drop', '--dry-run'])).out).toMatch(/would be dropped/);
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({ condition: 'inactive' });
    // A relay takes it up; while it reads, it is not dropped.
    const relay = await fixture.relay();
    await fixture.live(relay);
    const taken = await fixture.run(['slot', 'drop', '--yes']);
    expect(taken).toMatchObject({ code: 1, notes: expect.stringContaining('ER1201') });
    const inTheWay = await fixture.run(['slot', 'drop', '--dry-run']);
    expect(inTheWay).toMatchObject({ code: 0, out: expect.stringMatching(/being read by process \d+/) });
    await relay.stop();
    await eventually(
      () => fixture.run(['slot', '--json']),
      (ran) => ran.json()['condition'] === 'inactive',
    );
    expect((await fixture.run(['slot', 'drop', '--yes', '--json'])).json()).toMatchObject({ dropped: true });
    expect((await fixture.run(['slot', '--json'])).json()).toMatchObject({ condition: 'missing' });
    // One of that name that is not the relay's stays where it is.
    await fixture.sql.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [fixture.name]);
    for (const flag of ['--yes', '--dry-run']) {
      const refused = await fixture.run(['slot', 'drop', flag]);
      expect(refused).toMatchObject({ code: 1, notes: expect.stringContaining('ER1213') });
    }
    expect((await fixture.sql.query('select pg_drop_replication_slot($1)', [fixture.name])).rowCount).toBe(1);
  });
});
