import { expect, test } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import { entityOf } from '../../log/outbox-event.ts';
import { loggedEvent } from '../feed/event-fixture.suite.ts';
import { Parked } from './parked.ts';

const one = loggedEvent(1, { entity: 'claim-1' });
const two = loggedEvent(2, { entity: 'claim-2' });
const nobody: ReadonlySet<string> = new Set();

test('an entity is parked while it is looked for, and afterwards as what was read says', async () => {
  const parked = new Parked();
  parked.add(one);
  const reading = deferred<ReadonlySet<string>>();
  const look = parked.refresh(async () => await reading.promise);
  expect(parked.has(one)).toBe(true);
  parked.add(two);
  reading.resolve(nobody);
  await look;
  // What was added before is as it was read; what came meanwhile was not to be seen.
  expect([parked.has(one), parked.has(two)]).toEqual([false, true]);
  await parked.refresh(async () => new Set([entityOf(one.event) ?? '']));
  expect([parked.has(one), parked.has(two)]).toEqual([true, false]);
});

test('a look that fails forgets nothing', async () => {
  const parked = new Parked();
  parked.add(one);
  const failing = parked.refresh(async () => {
    parked.add(two);
    throw new Error('gone');
  });
  await expect(failing).rejects.toThrow('gone');
  expect([parked.has(one), parked.has(two)]).toEqual([true, true]);
});
