import { createColors } from 'picocolors';
import { expect, test } from 'vitest';
import { type DemoMeasurements, demoResult, objections } from './demo-result.ts';
import { summary } from './summary.ts';

const passed: DemoMeasurements = {
  verdict: {
    expected: 1_000,
    delivered: 1_000,
    lost: 0,
    phantom: 0,
    reordered: 0,
    corrupted: 0,
    badSignatures: 0,
    duplicates: 12,
    repeated: 0,
    differences: [],
  },
  committed: 700,
  rolledBack: 95,
  kills: 8,
  killsWithBacklog: 8,
  slot: { slotTransactions: 820, confirmedFlushReached: true },
  latencies: [1, 2, 3, 4.567],
  seconds: 12.3456,
};
const asked = { events: 1_000, kill: true };

test('the printed object has exactly the documented keys', () => {
  expect(Object.keys(demoResult(passed))).toEqual(
    (
      'events committed rolledBack delivered lost phantom reordered corrupted badSignatures duplicates ' +
      'kills killsWithBacklog slotTransactions confirmedFlushReached p50Ms p95Ms p99Ms seconds'
    ).split(' '),
  );
  expect(demoResult(passed)).toMatchObject({ p50Ms: 2, p99Ms: 4.57, seconds: 12.35 });
});

test('a run passes only when nothing is to be said against it', () => {
  expect(objections(passed, asked)).toEqual([]);
  const changed = (change: Partial<DemoMeasurements>): string[] =>
    objections({ ...passed, ...change }, asked);
  const faults = ['lost', 'phantom', 'reordered', 'corrupted', 'badSignatures', 'repeated'] as const;
  for (const fault of faults) {
    expect(changed({ verdict: { ...passed.verdict, [fault]: 1 } })).toHaveLength(1);
  }
  expect(changed({ verdict: { ...passed.verdict, delivered: 999 } })).toHaveLength(1);
  expect(changed({ verdict: { ...passed.verdict, expected: 999, delivered: 999 } })).toHaveLength(1);
  expect(changed({ slot: { slotTransactions: 699, confirmedFlushReached: true } })).toHaveLength(1);
  expect(changed({ slot: { slotTransactions: 820, confirmedFlushReached: false } })).toHaveLength(1);
  expect(changed({ killsWithBacklog: 0 })).toHaveLength(1);
  expect(objections({ ...passed, killsWithBacklog: 0 }, { ...asked, kill: false })).toEqual([]);
});

test('the summary shows the counts, the picture, the differences and the verdict, without colours where none are', () => {
  const differences = [{ kind: 'lost', eventId: 'e1', line: 'e1 (t, acme k no. 1): never came' }] as const;
  const terminal = { colors: createColors(false), columns: 80 };
  const common = {
    sink: 'webhooks',
    result: demoResult(passed),
    latencies: passed.latencies,
    terminal,
  } as const;
  const good = summary({ ...common, objections: [], differences: [] }).join('\n');
  expect(good).toMatch(/committed +1000 {2}events in 700 transactions/);
  expect(good).toMatch(/under 2 ms █+▋ 1/);
  expect(good).toContain('p50 2 ms · p95 4.6 ms · p99 4.6 ms');
  expect(good).toContain('✓ What was received is exactly what was committed');
  const bad = summary({ ...common, objections: ['It is wrong.'], differences }).join('\n');
  expect(bad).toContain('lost         e1 (t, acme k no. 1): never came');
  expect(bad).toContain('✗ It is wrong.');
  expect(bad).not.toContain('✓');
  const stream = { ...common, sink: 'nats', objections: [], differences: [] } as const;
  const inStream = summary(stream).join('\n');
  expect(inStream).toContain('✓ What the stream has is exactly what was committed, each event once');
  expect(inStream).not.toMatch(/bad signatures|standardwebhooks|allowed/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
  expect(good + bad).not.toMatch(/\u001b/);
});
