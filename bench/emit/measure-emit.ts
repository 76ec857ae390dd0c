import { type Figure, plainFigure, ratioFigure } from '../measure/figure.ts';
import { type InterleaveOptions, interleave, type Side, type SideResult } from '../measure/interleave.ts';
import { claim, claimApproved, outboxOf, tenant } from './event.ts';
import { countRoundTrips } from './round-trips.ts';
import { type EmitSides, emitSides, manyEvents } from './sides.ts';
import type { EmitSite } from './site.ts';
import { requireSameWork, writtenRows } from './written-rows.ts';

export interface EmitSettings {
  readonly runs: number;
  /** Slices of each side in a run. */
  readonly slices: number;
  /** Transactions of one slice with one event each. */
  readonly transactions: number;
  /** Calls of one slice with many events each. */
  readonly manyCalls: number;
  /** Connections at the same time, where it is not one. */
  readonly connections: number;
  /** Told what is about to run. */
  readonly progress?: (line: string) => void;
}

type Results = ReadonlyMap<string, SideResult>;

/** One run: every experiment once. */
interface Run {
  readonly one: Results;
  readonly keyed: Results;
  readonly many: Results;
  /** `one` and `keyed`, on several connections. */
  readonly wide: Results;
}

/** Budgets E1 and E2, and the figures beside them that say where the time goes. */
export async function measureEmit(site: EmitSite, settings: EmitSettings): Promise<Figure[]> {
  const { runs, slices, transactions, manyCalls, connections } = settings;
  const clients = await Promise.all(Array.from({ length: connections }, () => site.connect()));
  const sides = emitSides(clients);
  const single = { slices, perSlice: transactions, lanes: 1 };
  const many = { slices, perSlice: manyCalls, lanes: 1 };
  settings.progress?.('warming up');
  // Connections, plans and the just-in-time compiler: the first slices tell of the start, not of the work.
  await measureRun(site, sides, {
    single: { ...single, slices: 2 },
    many: { ...many, slices: 2 },
    connections,
  });
  const done: Run[] = [];
  for (let run = 1; run <= runs; run += 1) {
    settings.progress?.(`run ${run} of ${runs}`);
    done.push(await measureRun(site, sides, { single, many, connections }));
  }
  const written = await writtenRows(site.owner);
  for (const group of [sides.one, sides.keyed, sides.many]) requireSameWork(written, namesOf(group));
  return [...figuresOf(done), ...(await roundTripFigures(site))];
}

async function measureRun(
  site: EmitSite,
  sides: EmitSides,
  how: {
    readonly single: InterleaveOptions;
    readonly many: InterleaveOptions;
    readonly connections: number;
  },
): Promise<Run> {
  // No side pays for the pages that another one made dirty.
  await site.owner.query('checkpoint');
  const one = await interleave(sides.one, how.single);
  const keyed = await interleave(sides.keyed, how.single);
  const many = await interleave(sides.many, how.many);
  const wideOptions = { ...how.single, lanes: how.connections };
  const wideOne = await interleave(sides.one, wideOptions);
  const wideKeyed = await interleave(sides.keyed, wideOptions);
  return { one, keyed, many, wide: new Map([...wideOne, ...wideKeyed]) };
}

function figuresOf(runs: readonly Run[]): Figure[] {
  const figure = (id: string, label: string, how: Comparison): Figure =>
    ratioFigure(
      { id, label, unit: 'µs', budget: how.budget ?? null },
      runs.map((run) => [
        sideOf(run[how.of], how.sides[0])[how.by],
        sideOf(run[how.of], how.sides[1])[how.by],
      ]),
    );
  const one = { of: 'one', by: 'transaction' } as const;
  const keyed = { of: 'keyed', by: 'transaction' } as const;
  const many = { of: 'many', by: 'call' } as const;
  const wide = { of: 'wide', by: 'wall' } as const;
  const oneHand = ['one.emit', 'one.hand'] as const;
  const keyHand = ['key.emit', 'key.hand'] as const;
  const manyHand = ['many.emit', 'many.hand'] as const;
  return [
    figure('E1', 'transaction, emit | INSERT', { ...one, sides: oneHand, budget: 1.1 }),
    figure('E1-key', 'transaction, emit with key | INSERT, unique index', {
      ...keyed,
      sides: keyHand,
      budget: 1.1,
    }),
    figure('E2', `emitMany(${manyEvents}) | INSERT ... VALUES`, { ...many, sides: manyHand, budget: 1.15 }),
    figure('E1-prepared', 'transaction, emit | prepared INSERT', { ...one, sides: ['one.emit', 'one.prep'] }),
    figure('E1-sql', 'transaction, SQL emit | INSERT', { ...one, sides: ['one.call', 'one.hand'] }),
    figure('E1-call', 'the call alone, emit | INSERT', { ...one, by: 'call', sides: oneHand }),
    figure('E1-call-sql', 'the call alone, SQL emit | INSERT', {
      ...one,
      by: 'call',
      sides: ['one.call', 'one.hand'],
    }),
    figure('E1-mean', 'mean transaction, emit | INSERT', { ...one, by: 'wall', sides: oneHand }),
    figure('E1-wide', 'mean transaction, connections at once, emit | INSERT', { ...wide, sides: oneHand }),
    figure('E1-key-apart', 'transaction, emit with key | INSERT, key table', {
      ...keyed,
      sides: ['key.emit', 'key.apart'],
      budget: 1.1,
    }),
    figure('E1-key-sql', 'transaction, SQL emit with key | INSERT, unique index', {
      ...keyed,
      sides: ['key.call', 'key.hand'],
    }),
    figure('E1-key-call', 'the call alone, emit with key | INSERT, unique index', {
      ...keyed,
      by: 'call',
      sides: keyHand,
    }),
    figure('E1-key-mean', 'mean transaction, emit with key | INSERT, unique index', {
      ...keyed,
      by: 'wall',
      sides: keyHand,
    }),
    figure('E1-key-wide', 'mean transaction, connections at once, emit with key | INSERT, unique index', {
      ...wide,
      sides: keyHand,
    }),
    figure('E2-transaction', `transaction, emitMany(${manyEvents}) | INSERT ... VALUES`, {
      ...many,
      by: 'transaction',
      sides: manyHand,
    }),
    figure('E2-array', `emitMany(${manyEvents}) | INSERT ... SELECT FROM unnest`, {
      ...many,
      sides: ['many.emit', 'many.array'],
    }),
  ];
}

interface Comparison {
  readonly of: keyof Run;
  readonly by: keyof SideResult;
  /** What is measured, and its reference. */
  readonly sides: readonly [string, string];
  readonly budget?: number;
}

async function roundTripFigures(site: EmitSite): Promise<Figure[]> {
  const client = await site.connect();
  const outbox = outboxOf('round-trip');
  const many = Array.from({ length: manyEvents }, (_, index) => ({
    event: claimApproved,
    data: claim(`round-trip-${index}`),
  }));
  const [first] = many;
  if (first === undefined) throw new TypeError('no event');
  const calls: ReadonlyArray<readonly [id: string, label: string, call: () => Promise<unknown>]> = [
    ['E1-trips', 'round trips of emit', () => outbox.emit(client, first.event, first.data, { tenant })],
    [
      'E1-key-trips',
      'round trips of emit with key',
      () => outbox.emit(client, first.event, first.data, { tenant, idempotencyKey: 'a key' }),
    ],
    ['E2-trips', `round trips of emitMany(${manyEvents})`, () => outbox.emitMany(client, many, { tenant })],
  ];
  const figures: Figure[] = [];
  for (const [id, label, call] of calls) {
    await client.query('begin');
    const trips = await countRoundTrips(client, call);
    await client.query('rollback');
    figures.push(plainFigure({ id, label, unit: 'round trips', budget: 1 }, [trips]));
  }
  return figures;
}

function sideOf(results: Results, name: string): SideResult {
  const result = results.get(name);
  if (result === undefined) throw new TypeError(`no side ${name}`);
  return result;
}

function namesOf(sides: readonly Side[]): string[] {
  return sides.map(({ name }) => name);
}
