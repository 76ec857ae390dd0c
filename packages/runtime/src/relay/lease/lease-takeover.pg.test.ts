import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { Lateness } from '../../testing/lateness.suite.ts';
import { LeaseFixture, type ReplicaProcess } from './lease-fixture.suite.ts';
import type { Witnessed } from './lease-replica.suite.ts';

const units = [{ sink: '*', shard: 0 }];

/** With the times of the product, in processes that are really killed and stopped. */
describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: LeaseFixture;
  beforeEach(async () => {
    fixture = await LeaseFixture.create(inject('postgres')[major]);
  });
  afterEach(async () => {
    await fixture[Symbol.asyncDispose]();
    fixture.prove();
  });

  const seen = async (kind: Witnessed['kind'], by?: ReplicaProcess, after = 0n) =>
    await fixture.see(
      (one) => one.kind === kind && one.at > after && one.replica === (by?.name() ?? one.replica),
    );
  const millisecondsSince = (at: bigint, witnessed: Witnessed): number => Number(witnessed.at - at) / 1e6;

  test('killed: another is there within 5 s', async () => {
    const replicas = [fixture.process({ units }), fixture.process({ units })];
    const first = await seen('acquired');
    // The other one is up as well: it shows a sign of life.
    await eventually(
      async () =>
        (await fixture.sql.query(`select from event_runtime.relay_lease where sink like '@%'`)).rowCount,
      (count) => count === 2,
    );
    const holder = replicas.find(({ name }) => name() === first.replica)!;
    await seen('sample', holder);
    const exit = once(holder.child, 'exit');
    using lateness = new Lateness();
    const at = process.hrtime.bigint();
    holder.child.kill('SIGKILL');
    await exit;
    const second = await fixture.see(({ kind, replica }) => kind === 'acquired' && replica !== first.replica);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(millisecondsSince(at, second)).toBeLessThan(lateness.bound(5_000));
  });

  test('stopped and continued: another is there within 5 s, and the first does nothing any more', async () => {
    const stopped = fixture.process({ units, spins: true });
    const first = await seen('acquired');
    const other = fixture.replica({ units });
    await other.keeper.start();
    await seen('spinning', stopped);
    using lateness = new Lateness();
    const at = process.hrtime.bigint();
    stopped.child.kill('SIGSTOP');
    const second = await fixture.see(({ kind, replica }) => kind === 'acquired' && replica === other.name);
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(millisecondsSince(at, second)).toBeLessThan(lateness.bound(5_000));
    await fixture.see(({ kind, replica }) => kind === 'sample' && replica === other.name);
    // In the midst of its work, before any timer has its turn; had it looked at anything but a clock, it would go on.
    const continuedAt = process.hrtime.bigint();
    stopped.child.kill('SIGCONT');
    await seen('ended', stopped, continuedAt);
    const late = fixture.witnessed.filter(
      ({ kind, replica, at: then }) => kind === 'sample' && replica === first.replica && then > second.at,
    );
    expect(late).toEqual([]);
    // It has become a standby.
    await other.keeper.stop();
    const third = await seen('acquired', stopped, continuedAt);
    expect(third.epoch).toBeGreaterThan(second.epoch);
  });
});
