import { seededRandom } from '@event-runtime/runtime/testing';
import { expect, test } from 'vitest';
import { Pace } from './pace.ts';
import { entitiesPerTenant, planTransaction, tenants } from './transaction-plan.ts';

const plans = (seed: number): ReturnType<typeof planTransaction>[] => {
  const random = seededRandom(seed);
  return Array.from({ length: 800 }, () => planTransaction(random));
};

test('the same seed makes the same transactions, another one others', () => {
  expect(plans(7)).toEqual(plans(7));
  expect(plans(7)).not.toEqual(plans(8));
});

test('every kind of transaction comes, on few entities, in an order of locks', () => {
  const all = plans(1);
  const kinds = new Set(
    all.flatMap((plan) => [
      plan.via,
      plan.ending,
      `undone ${plan.undone}`,
      `durable ${plan.durable}`,
      `burst ${plan.burst}`,
      plan.holdMs > 0 ? 'held' : 'at once',
    ]),
  );
  expect([...kinds].toSorted()).toEqual(
    [
      ...['sql', 'package', 'commit', 'rollback', 'undone none', 'undone first', 'undone last'],
      ...['durable true', 'durable false', 'burst true', 'burst false', 'held', 'at once'],
    ].toSorted(),
  );
  const entities = new Set(
    all.flatMap(({ tenant, events }) => events.map((event) => tenant + event.entityKey)),
  );
  expect(entities.size).toBe(tenants.length * entitiesPerTenant);
  for (const { events } of all) {
    const keys = events.map((event) => event.entityKey);
    expect(keys).toEqual(keys.toSorted());
  }
});

test('payloads are JSON with the entity in it; what the package emits is what JSON.stringify makes', () => {
  for (const { via, events } of plans(2)) {
    for (const { entityKey, text } of events) {
      const value = JSON.parse(text) as { entity: string };
      expect(value.entity).toBe(entityKey);
      expect(JSON.stringify(value) === text).toBe(via === 'package');
    }
  }
});

test('a pace holds its rate, a burst is paid by those behind it, a pause is not made up for', () => {
  const pace = new Pace(100, 1_000);
  expect(pace.delay(10, 1_000)).toBe(0);
  expect(pace.delay(10, 1_000)).toBe(100);
  expect(pace.delay(10, 1_000)).toBe(200);
  expect(pace.delay(1, 61_000)).toBe(0);
  expect(pace.delay(60, 61_000)).toBe(0);
  expect(pace.delay(1, 61_000)).toBe(110);
});
