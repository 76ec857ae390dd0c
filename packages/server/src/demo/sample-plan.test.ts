import { describe, expect, test } from 'vitest';
import { githubExamples } from './github-examples.ts';
import { oddPayloads } from './odd-payloads.ts';
import type { SamplePayload } from './sample-payload.ts';
import { type PlannedTransaction, samplePlan } from './sample-plan.ts';

const examples = githubExamples();
const odd = oddPayloads(100);

function planOf(events: number, seed = 1): PlannedTransaction[] {
  const once = [...odd, ...examples];
  return [...samplePlan({ events, seed, tenants: ['acme', 'globex'], once, repeated: examples })];
}

function committed(plan: readonly PlannedTransaction[]): SamplePayload[] {
  return plan.filter(({ outcome }) => outcome === 'commit').flatMap(({ events }) => events);
}

test('the same seed plans the same, another plans otherwise', () => {
  expect(planOf(500, 7)).toEqual(planOf(500, 7));
  expect(planOf(500, 7)).not.toEqual(planOf(500, 8));
});

test.each([1, 2, 40, 337, 1_000, 5_000])('of %i events exactly so many are committed', (events) => {
  expect(committed(planOf(events))).toHaveLength(events);
});

test('every example and every odd payload is among the committed, at the smallest size with room for all', () => {
  const texts = new Set(committed(planOf(examples.length + odd.length)).map(({ text }) => text));
  for (const payload of [...odd, ...examples]) expect(texts.has(payload.text)).toBe(true);
});

test('the odd payloads are never left out for lack of room', () => {
  const texts = new Set(committed(planOf(20)).map(({ text }) => text));
  for (const payload of odd) expect(texts.has(payload.text)).toBe(true);
});

describe('shapes', () => {
  const plan = planOf(5_000);
  const share = (is: (planned: PlannedTransaction) => boolean): number =>
    plan.filter(is).length / plan.length;

  test('about a tenth rolls back, about a twentieth to a savepoint', () => {
    expect(share(({ outcome }) => outcome === 'rollback')).toBeCloseTo(0.1, 1);
    expect(share(({ shape }) => shape === 'savepoint')).toBeCloseTo(0.05, 1);
    expect(share(({ shape }) => shape === 'many')).toBeGreaterThan(0.05);
  });

  test('what is undone has the key of what stays, so that a phantom would stand in its order', () => {
    const savepoints = plan.filter(({ shape }) => shape === 'savepoint');
    for (const { events, undone } of savepoints) expect(undone?.entityKey).toBe(events[0]?.entityKey);
    expect(new Set(savepoints.map(({ undoneFirst }) => undoneFirst))).toEqual(new Set([true, false]));
  });
});
