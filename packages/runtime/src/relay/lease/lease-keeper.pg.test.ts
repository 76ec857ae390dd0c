import { FaultProxy } from '@event-runtime/simulators';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { stressService } from '../../testing/service-stress.ts';
import type { LeaseUnit } from './lease.ts';
import { LeaseFixture } from './lease-fixture.suite.ts';
import type { Replica } from './lease-replica.suite.ts';

const reader: LeaseUnit = { sink: '*', shard: 0 };
const shards = (count: number): LeaseUnit[] =>
  Array.from({ length: count }, (_, shard) => ({ sink: 's', shard }));
const units = [reader];

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: LeaseFixture;
  beforeEach(async () => {
    fixture = await LeaseFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
    fixture.prove();
  });

  const acquiredBy = async (replica: Replica) =>
    await fixture.see(({ kind, replica: name }) => kind === 'acquired' && name === replica.name);
  /** The expiry of the reader's lease, in milliseconds from now, when it fits. */
  const remaining = async (fits: (milliseconds: number) => boolean) =>
    await eventually(async () => {
      const { rows } = await fixture.sql.query<{ left: number }>(
        `select (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as left
           from event_runtime.relay_lease where sink = '*'`,
      );
      return rows[0]?.left ?? 0;
    }, fits);

  test('an orderly stop: the successor is there without waiting for the lease to expire', async () => {
    const timing = { units, ttlMs: 30_000, renewMs: 2_000, lookMs: 50 };
    const [a, b] = [fixture.replica(timing), fixture.replica(timing)];
    await a.keeper.start();
    const first = await acquiredBy(a);
    await b.keeper.start();
    await fixture.see(({ kind }) => kind === 'sample');
    await a.keeper.stop();
    const second = await acquiredBy(b);
    expect(fixture.count('released', a)).toBe(1);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(Number(second.at - first.at) / 1e6).toBeLessThan(10_000);
    expect(b.keeper.held).toMatchObject([{ unit: reader, epoch: second.epoch }]);
    expect(a.keeper.held).toEqual([]);
  });

  test('what is given up stays ours, and is renewed, until its work has ended', async () => {
    const gate = deferred();
    const asked = deferred();
    let validAtEnd: boolean | undefined;
    const timing = { units, ttlMs: 8_000, renewMs: 500, lookMs: 50 };
    const a = fixture.replica({
      ...timing,
      work: async (lease, { signal, sample }) => {
        signal.addEventListener('abort', () => asked.resolve(), { once: true });
        await gate.promise;
        validAtEnd = lease.valid() && !lease.lost.aborted && sample();
      },
    });
    const b = fixture.replica(timing);
    await a.keeper.start();
    const { at } = await acquiredBy(a);
    await b.keeper.start();
    const stopped = a.keeper.stop();
    await asked.promise;
    // Longer than the lease would have lasted without renewals.
    await remaining((left) => left > 1_000 && Number(process.hrtime.bigint() - at) / 1e6 > 9_000);
    expect(fixture.count('acquired', b)).toBe(0);
    gate.resolve();
    await stopped;
    await acquiredBy(b);
    expect(validAtEnd).toBe(true);
    expect(fixture.count('lost')).toBe(0);
  });

  test('work that fails gives the unit back, and is tried again later and later, with higher epochs', async () => {
    const epochs: bigint[] = [];
    const a = fixture.replica({
      ...{ units, lookMs: 100 },
      work: async ({ epoch }, { signal, sample }) => {
        epochs.push(epoch);
        sample();
        if (epochs.length <= 3) throw new Error(`no ${epochs.length}`);
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve, { once: true });
        });
      },
    });
    await a.keeper.start();
    await fixture.until(() => (epochs.length === 4 ? true : undefined));
    expect(a.failures.map(({ attempt, error }) => `${attempt} ${(error as Error).message}`)).toEqual([
      '1 no 1',
      '2 no 2',
      '3 no 3',
    ]);
    expect(epochs).toEqual(epochs.toSorted((x, y) => (x < y ? -1 : 1)));
    expect(fixture.count('released')).toBe(3);
    await a.keeper.stop();
    expect(a.failures).toHaveLength(3);
  });

  test('while it rests after a failure, another replica has the unit', async () => {
    const failing = fixture.replica({
      ...{ units, lookMs: 50 },
      work: async () => {
        throw new Error('not here');
      },
    });
    await failing.keeper.start();
    await fixture.see(({ kind }) => kind === 'failed');
    const able = fixture.replica({ units, lookMs: 5 });
    await able.keeper.start();
    expect((await acquiredBy(able)).epoch).toBeGreaterThan(0n);
  });

  test('units that are no longer wanted are given back, new ones are taken', async () => {
    const a = fixture.replica({ units: shards(3), lookMs: 50 });
    await a.keeper.start();
    await fixture.until(() => (a.keeper.held.length === 3 ? true : undefined));
    a.keeper.want([...shards(1), reader]);
    await fixture.until(() =>
      fixture.count('released', a) === 2 && a.keeper.held.length === 2 ? true : undefined,
    );
    expect(a.keeper.held.map(({ unit }) => unit)).toEqual([...shards(1), reader]);
    expect(await fixture.shares()).toEqual([2]);
  });

  test('three replicas share eight units, and the two that are left share them again', async () => {
    const timing = { units: shards(8), ttlMs: 2_000, renewMs: 400, lookMs: 100 };
    const [a, b] = [fixture.replica(timing), fixture.replica(timing)];
    await a.keeper.start();
    await fixture.until(() => (a.keeper.held.length === 8 ? true : undefined));
    await b.keeper.start();
    const third = fixture.process(timing);
    const shares = async (wanted: string) =>
      await eventually(
        async () => (await fixture.shares()).join(' '),
        (seen) => seen === wanted,
      );
    await shares('2 3 3');
    third.child.kill('SIGKILL');
    await shares('4 4');
    await b.keeper.stop();
    await shares('8');
    expect(a.keeper.held).toHaveLength(8);
  });

  test('the database gone without a word: the work ends before another can have the unit', async () => {
    const at = new URL(fixture.database.url);
    await using proxy = await FaultProxy.start({ target: { host: at.hostname, port: Number(at.port) } });
    const timing = { units, ttlMs: 2_000, renewMs: 300, lookMs: 50 };
    const a = fixture.replica({ ...timing, url: proxy.url(fixture.database.url) });
    const b = fixture.replica(timing);
    await a.keeper.start();
    await acquiredBy(a);
    await b.keeper.start();
    await fixture.see(({ kind }) => kind === 'sample');
    proxy.swallow();
    const lost = await fixture.see(({ kind, replica }) => kind === 'lost' && replica === a.name);
    expect(fixture.count('acquired', b)).toBe(0);
    const taken = await acquiredBy(b);
    expect(taken.at).toBeGreaterThan(lost.at);
    await proxy.heal();
    await b.keeper.stop();
    // It comes back as a standby, and takes over in its turn.
    await fixture.until(() => (a.keeper.held.length === 1 ? true : undefined));
    expect(a.keeper.held[0]!.epoch).toBeGreaterThan(taken.epoch);
    await a.stop();
  });

  test('the database gone for less than the lease: it is renewed again, and nothing is lost', async () => {
    const at = new URL(fixture.database.url);
    await using proxy = await FaultProxy.start({ target: { host: at.hostname, port: Number(at.port) } });
    const a = fixture.replica({
      ...{ units, ttlMs: 20_000, renewMs: 200, lookMs: 50 },
      url: proxy.url(fixture.database.url),
    });
    await a.keeper.start();
    const { epoch } = await acquiredBy(a);
    for (const fault of ['swallow', 'cut'] as const) {
      const troubles = fixture.count('trouble', a);
      if (fault === 'cut') proxy.refuse();
      proxy[fault]();
      await fixture.until(() => (fixture.count('trouble', a) > troubles + 2 ? true : undefined));
      await proxy.heal();
      await fixture.sql.query(
        `update event_runtime.relay_lease set expires_at = clock_timestamp() + interval '5 s'`,
      );
      await remaining((left) => left > 15_000);
    }
    expect(a.keeper.held).toMatchObject([{ unit: reader, epoch }]);
    expect(fixture.count('lost')).toBe(0);
    await a.stop();
  });

  test('a lease that another has been given is lost at the next renewal', async () => {
    const a = fixture.replica({ units, ttlMs: 30_000, renewMs: 100, lookMs: 50 });
    await a.keeper.start();
    await acquiredBy(a);
    // As after a step of the server's clock: ours has not ended, but the epoch is another's.
    await fixture.sql.query(
      `update event_runtime.relay_lease set epoch = nextval('event_runtime.relay_epoch'), holder = gen_random_uuid()
        where sink = '*'`,
    );
    await fixture.see(({ kind, replica }) => kind === 'lost' && replica === a.name);
    expect(a.keeper.held).toEqual([]);
  });

  test('rows of replicas that died long ago go away', async () => {
    await fixture.sql.query(
      `insert into event_runtime.relay_lease (relay, sink, epoch, holder, holder_name, expires_at)
       select 'r', '@' || h, 1, h, 'dead:1', clock_timestamp() - interval '2 hours' from gen_random_uuid() as h`,
    );
    const a = fixture.replica({ units });
    await a.keeper.start();
    await acquiredBy(a);
    const { rows } = await fixture.sql.query<{ sink: string }>(
      'select sink from event_runtime.relay_lease order by sink',
    );
    expect(rows.map(({ sink }) => sink)).toEqual(['*', `@${a.name}`]);
  });

  test('any order of start and stop leaves no connection in use and no lease behind', async () => {
    const replicas: Replica[] = [];
    const make = () => {
      const replica = fixture.replica({ units: shards(2), lookMs: 5 });
      replicas.push(replica);
      return replica.keeper;
    };
    const leaked = async (): Promise<string | undefined> => {
      await Promise.all(replicas.splice(0).map((replica) => replica.stop()));
      const { rows } = await fixture.sql.query<{ sink: string }>(
        'select sink from event_runtime.relay_lease where expires_at > clock_timestamp()',
      );
      return rows.length === 0 ? undefined : JSON.stringify(rows);
    };
    await expect(stressService(make, { rounds: 25, leaked })).resolves.toBeUndefined();
  });
});
