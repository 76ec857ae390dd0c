import { expect, test } from 'vitest';
import { killPlan } from './kill-plan.ts';

const options = { kills: 60, seed: 3, failpoints: ['a', 'b'], hits: 3, freezes: 0 };

test('each failpoint so many times, the rest at random, in all as many as asked for', () => {
  const plan = killPlan(options);
  expect(plan).toHaveLength(60);
  const named = plan.flatMap((kill) => (kill.type === 'failpoint' ? [kill.failpoint] : []));
  expect(named.toSorted()).toEqual(['a', 'a', 'a', 'b', 'b', 'b']);
});

test('more failpoints than kills: every failpoint is still hit', () => {
  expect(killPlan({ ...options, kills: 2 })).toHaveLength(6);
});

test('without hits, random kills only', () => {
  expect(killPlan({ ...options, hits: 0 }).every((kill) => kill.type === 'random')).toBe(true);
});

test('replicas that are stopped past their lease are among the kills', () => {
  const plan = killPlan({ ...options, freezes: 5 });
  expect(plan).toHaveLength(60);
  expect(plan.filter((kill) => kill.type === 'freeze')).toHaveLength(5);
});

test('the same seed makes the same plan, another one another', () => {
  expect(killPlan(options)).toEqual(killPlan(options));
  expect(killPlan(options)).not.toEqual(killPlan({ ...options, seed: 4 }));
});

test('every process is killed alone, and all of them together', () => {
  const targets = killPlan({ ...options, hits: 0 }).map((kill) =>
    kill.type === 'random' ? kill.targets.join() : '',
  );
  for (const wanted of ['relay', 'postgres', 'receiver', 'relay,postgres,receiver']) {
    expect(targets).toContain(wanted);
  }
  expect(targets.join()).not.toContain('nats');
});

test('a sink into NATS has its server killed too, alone and with others', () => {
  const targets = killPlan({ ...options, hits: 0, nats: true }).map((kill) =>
    kill.type === 'random' ? kill.targets.join() : '',
  );
  for (const wanted of ['nats', 'relay,nats', 'postgres,nats', 'relay', 'relay,postgres,receiver']) {
    expect(targets).toContain(wanted);
  }
});

test('the server is killed while commits are not on disk, the relay while a sink is stuck', () => {
  const random = killPlan({ ...options, hits: 0 }).flatMap((kill) => (kill.type === 'random' ? [kill] : []));
  const preludes = new Set(random.map((kill) => kill.prelude));
  expect([...preludes].toSorted()).toEqual(['held', 'none', 'relaxed', 'stuck']);
  for (const { prelude, targets } of random) {
    if (prelude === 'relaxed') expect(targets).toContain('postgres');
    if (prelude === 'stuck' || prelude === 'held') expect(targets).toContain('relay');
  }
});

test('a process that alone is to be killed is, and never right after it has come back', () => {
  const kills = killPlan({ ...options, hits: 0, freezes: 0, nats: true, only: 'nats' });
  expect(kills.length).toBeGreaterThan(0);
  for (const kill of kills) {
    expect(kill).toMatchObject({ type: 'random', targets: ['nats'], early: false, prelude: 'none' });
  }
});

test('a prelude that is wanted goes before every random kill, of what it can go before', () => {
  const kills = (prelude: 'held' | 'relaxed'): string[] =>
    killPlan({ ...options, hits: 0, freezes: 0, prelude }).map((kill) =>
      kill.type === 'random' && kill.prelude === prelude && !kill.early ? kill.targets.join() : kill.type,
    );
  expect(new Set(kills('held'))).toEqual(new Set(['relay', 'relay,receiver']));
  expect(new Set(kills('relaxed'))).toEqual(
    new Set(['postgres', 'relay,postgres', 'postgres,receiver', 'relay,postgres,receiver']),
  );
});
