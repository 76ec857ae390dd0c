import { createMigratedDatabase, createTestDatabase } from '@event-runtime/runtime/testing';
import { describe, expect, inject, test } from 'vitest';
import { fewDays } from '../../../runtime/src/testing/migrated-database.ts';
import { type DemoResult, demoResult, objections } from './demo-result.ts';
import { demoTenants } from './demo-sink.ts';
import { runDemo } from './run-demo.ts';
import { type Fault, type StandInRequest, standInSetup } from './stand-in-relay.suite.ts';
import { WebhookDemoSink } from './webhook-demo-sink.ts';

interface Outcome {
  readonly result: DemoResult;
  readonly objections: readonly string[];
  readonly lines: readonly string[];
}

const seed = 20_261_120;

async function outcomeOf(
  clusterUrl: string,
  options: {
    events?: number;
    kill?: boolean;
    fault?: Fault;
    readsSlot?: boolean;
    largeBytes?: number;
    /** How long is waited for what will not come, where nothing else ends the wait. Default: so long that all else has come. */
    waitMs?: number;
    /** As the demo's own databases are: it migrates it. Default false: there is nothing left to migrate. */
    empty?: boolean;
  },
): Promise<Outcome> {
  const { events = 60, kill = false, fault, readsSlot = true, largeBytes = 20_000 } = options;
  await using sink = await WebhookDemoSink.start({ tenants: demoTenants, refusePercent: 5 });
  const { empty = false, waitMs = 30_000 } = options;
  await using database = await (empty
    ? createTestDatabase(clusterUrl)
    : createMigratedDatabase(clusterUrl, fewDays));
  const measured = await runDemo({
    databaseUrl: database.url,
    setup: standInSetup({
      slot: `demo_${database.name}`,
      readsSlot,
      ...(fault === undefined ? {} : { fault }),
    }),
    sink,
    events,
    seed,
    kill,
    largeBytes,
    stallMs: waitMs,
    confirmMs: waitMs,
    quietMs: 50,
    signal: AbortSignal.timeout(240_000),
  });
  return {
    result: demoResult(measured),
    objections: objections(measured, { events, kill }),
    lines: measured.verdict.differences.map(({ line }) => line),
  };
}

/** Does something once, as soon as the pending events allow it; before that, holds everything back. */
function once(change: (pending: readonly StandInRequest[]) => readonly StandInRequest[] | undefined): Fault {
  let done = false;
  return (pending) => {
    if (done) return pending;
    const changed = change(pending);
    done = changed !== undefined;
    return changed;
  };
}

/** Replaces the third pending event. */
function third(replace: (request: StandInRequest) => readonly StandInRequest[]): Fault {
  return once((pending) =>
    pending.length < 3
      ? undefined
      : pending.flatMap((request, index) => (index === 2 ? replace(request) : [request])),
  );
}

function swapTwoOfAKey(pending: readonly StandInRequest[]): readonly StandInRequest[] | undefined {
  for (const [at, one] of pending.entries()) {
    const other = pending.findIndex(
      (request, index) => index > at && request.tenant === one.tenant && request.entityKey === one.entityKey,
    );
    const later = pending[other];
    if (later !== undefined) return pending.with(at, later).with(other, one);
  }
  return undefined;
}

function dropping(): Fault {
  let dropped: string | undefined;
  return (pending) => {
    dropped ??= pending[0]?.eventId;
    return pending.filter(({ eventId }) => eventId !== dropped);
  };
}

const clean = { lost: 0, phantom: 0, reordered: 0, corrupted: 0, badSignatures: 0 };
const invented = 'ffffffff-ffff-7fff-bfff-ffffffffffff';

describe.each(['15', '18'] as const)('the whole harness, PostgreSQL %s', (major) => {
  const url = inject('postgres')[major];

  test('a right relay passes, every example and 5 MB included', async () => {
    const {
      result,
      objections: objected,
      lines,
    } = await outcomeOf(url, {
      events: 400,
      largeBytes: 5 * 1024 * 1024,
      empty: true,
    });
    expect(lines).toEqual([]);
    expect(objected).toEqual([]);
    expect(result).toMatchObject({
      ...clean,
      events: 400,
      delivered: 400,
      kills: 0,
      confirmedFlushReached: true,
    });
    expect(result.rolledBack).toBeGreaterThan(20);
    expect(result.slotTransactions).toBeGreaterThanOrEqual(result.committed);
    expect(result.p50Ms).toBeGreaterThan(0);
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p95Ms);
  });

  test('kills hit undelivered events, and a relay that goes on where it was passes', async () => {
    const { result, objections: objected } = await outcomeOf(url, { events: 400, kill: true });
    expect(objected).toEqual([]);
    expect(result.killsWithBacklog).toBeGreaterThan(5);
  });

  test('sending some twice is no fault, and counted', async () => {
    const { result, objections: objected } = await outcomeOf(url, {
      fault: third((request) => [request, request]),
    });
    expect(objected).toEqual([]);
    expect(result).toMatchObject({ ...clean, duplicates: 1, delivered: 60 });
  });

  test.each<[string, () => Fault, Partial<DemoResult>, RegExp]>([
    ['drops one', dropping, { lost: 1, delivered: 59 }, /never came/],
    ['swaps two of a key', () => once(swapTwoOfAKey), { reordered: 1 }, /came after/],
    [
      'alters a byte that JSON does not mind',
      () => third((request) => [{ ...request, body: `${request.body} ` }]),
      { corrupted: 1 },
      /sha256 of the body/,
    ],
    [
      'signs one badly at first',
      () => third((request) => [{ ...request, badlySigned: true }, request]),
      { badSignatures: 1 },
      /No matching signature/,
    ],
    [
      'invents one',
      () => third((request) => [request, { ...request, eventId: invented }]),
      { phantom: 1 },
      /never committed/,
    ],
    [
      "sends one to another tenant's endpoint",
      () => third((request) => [{ ...request, tenant: request.tenant === 'acme' ? 'globex' : 'acme' }]),
      { corrupted: 1 },
      /tenant is/,
    ],
  ])('a relay that %s is convicted', async (_name, fault, wrong, line) => {
    const {
      result,
      objections: objected,
      lines,
    } = await outcomeOf(url, { fault: fault(), ...(wrong.lost === 1 ? { waitMs: 3_000 } : {}) });
    expect(result).toMatchObject({ ...clean, ...wrong });
    expect(objected).toEqual(['What was received is not exactly what was committed.']);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(line);
  });

  test('a relay that writes the JSON anew is convicted by the odd payloads', async () => {
    const { result } = await outcomeOf(url, {
      fault: (pending) =>
        pending.map((request) => ({ ...request, body: JSON.stringify(JSON.parse(request.body)) })),
    });
    expect(result.corrupted).toBeGreaterThan(6);
  });

  test('a relay that only polls is convicted by the slot', async () => {
    const { result, objections: objected } = await outcomeOf(url, { readsSlot: false, waitMs: 1_000 });
    expect(result).toMatchObject({
      ...clean,
      delivered: 60,
      slotTransactions: 0,
      confirmedFlushReached: false,
    });
    expect(objected).toHaveLength(2);
  });
});
