import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort } from '@event-runtime/runtime/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { onPath } from '../scripts/services/on-path.ts';
import { findService } from '../scripts/services/services.ts';
import { Disturbed } from './measure/disturbed.ts';
import type { Figure } from './measure/figure.ts';
import { Product } from './relay/product.ts';
import { productLimits } from './relay/product-limits.ts';
import { keyCounts, openRelaySite, type RelaySite } from './relay/site.ts';
import { emitSteadily } from './relay/steady-emit.ts';
import { relayBench, relayReport } from './relay.ts';
import { thisMachine } from './report/machine.ts';
import { terminalReport } from './report/terminal.ts';
import { deadNatsBench, stoppedSinkReport } from './stopped-sink.ts';

/** So small that the figures mean nothing; no test looks at how large they are. */
const events = 40_000;
const runs = 1;
const timeout = 300_000;

const recvlogical = await findRecvlogical();
const natsServer = await findService('nats-server');

/** Of all but those that run a benchmark as its command does, which starts one of its own. */
let site: RelaySite;

beforeAll(async () => {
  site = await openRelaySite();
});

afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  if (recvlogical !== undefined) vi.stubEnv('PG_RECVLOGICAL', recvlogical);
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('npm run bench -- relay', () => {
  test('against the product itself: pairs, every run, all settings', { timeout }, async () => {
    const told: string[] = [];
    const { figures, failures, settings, versions } = await relayBench.run({
      ...{ runs, events, only: ['R5a-hot'] },
      progress: (line) => told.push(line),
    });
    expect(failures).toEqual([]);
    expect(figures.map(({ id, reference }) => [id, reference !== null])).toEqual([['R5a-hot', true]]);
    expectSound(figures);
    expect(settings).toMatchObject({
      ...{
        runs,
        throughputEvents: events,
        payloadBytes: 458,
        manyKeys: 10_000,
        hotKeys: 1,
        max_wal_size: '8GB',
      },
      ...{ batchEvents: 1_000, windowBytes: 33_554_432, inHandBytes: 8_388_608, pollMs: 100 },
    });
    expect(versions['postgres']).toMatch(/^18\./);
    expect(told.some((each) => each.startsWith('R5a-hot: run 1 of 1'))).toBe(true);
    const shown = terminalReport({ figures, versions, settings, machine: thisMachine() });
    for (const { id } of figures) expect(shown).toContain(`\n${id} `);
  });

  test.skipIf(recvlogical === undefined)(
    'against pg_recvlogical on the same WAL [needs pg_recvlogical]',
    { timeout },
    async () => {
      const { figures, failures } = await relayReport(site, {
        // A transaction for each, which takes so much longer.
        ...{ runs, events: events / 2, only: ['R1-1-hot'] },
        progress: () => undefined,
      });
      expect(failures).toEqual([]);
      expect(figures.map(({ id, reference }) => [id, reference !== null])).toEqual([['R1-1-hot', true]]);
      expectSound(figures);
    },
  );

  test('its memory: what was written is counted, whatever came of it', { timeout }, async () => {
    const { figures, failures, settings } = await relayReport(site, {
      ...{ runs, events: 8_000, only: ['R4-hot'] },
      progress: () => undefined,
    });
    expect(failures).toEqual([]);
    expect(figures.map(({ id, reference }) => [id, reference !== null])).toEqual([
      ['R4-hot', false],
      ['R4-taken-hot', true],
      ['R4-emitted-hot', true],
      ['R4-growth-hot', true],
      ['R4-after-hot', true],
      ['R4-backlog-hot', true],
    ]);
    expectSound(figures);
    // These are counted, not timed: nothing of it ever came to the dead sink.
    const written = 8_000 + 2 * 8_000 * 2;
    expect(figures.at(-1)).toMatchObject({ value: written, reference: written, ratio: 1, met: true });
    expect(settings).toMatchObject({ memoryRuns: runs, hotBacklogEvents: 8_000 });
  });

  test.skipIf(natsServer === undefined || recvlogical === undefined)(
    'into JetStream, every event found there in each run [needs nats-server and pg_recvlogical]',
    { timeout },
    async () => {
      const { figures, failures } = await relayReport(site, {
        ...{ runs, events: 20_000, only: ['R2-hot', 'R3-1000'] },
        progress: () => undefined,
      });
      expect(failures).toEqual([]);
      expect(figures.map(({ id, reference }) => [id, reference !== null])).toEqual([
        ['R2-hot', true],
        ['R2-wal-hot', true],
        ['R7-hot', false],
        ['R7-bare-hot', false],
        ['R3-1000-p50', true],
        ['R3-1000-p99', true],
        ['R3-1000-back', false],
        ['R3-1000-written', true],
      ]);
      expectSound(figures);
    },
  );

  test('what cannot be timed is said, and is no figure', { timeout }, async () => {
    const { figures, failures } = await relayReport(site, {
      ...{ runs, events: 10, only: ['R5a-hot'] },
      progress: () => undefined,
    });
    expect(figures).toEqual([]);
    expect(failures).toEqual([expect.stringMatching(/^R5a-hot: 10 events are too few: .*--events$/)]);
  });
});

describe('npm run bench -- stopped-sink', () => {
  test('against the product itself: pairs, nothing lost', { timeout }, async () => {
    const { figures, failures, settings } = await stoppedSinkReport(site, {
      ...{ runs, events: 2_000 },
      progress: () => undefined,
    });
    expect(failures).toEqual([]);
    expectSound(figures);
    const byId = new Map(figures.map((figure) => [figure.id, figure]));
    for (const id of ['stopped-p99', 'stopped-p99-growth', 'stopped-unconfirmed', 'stopped-kept']) {
      expect(byId.get(id)?.reference, id).not.toBeNull();
    }
    for (const id of ['stopped-lost', 'stopped-reordered']) {
      expect(byId.get(id)).toMatchObject({ value: 0, met: true, spread: [0, 0] });
    }
    expect(settings).toMatchObject({ runs, events: 2_000, perSecond: 5_000, payloadBytes: 458 });
  });
});

describe.skipIf(inject('natsServer') === undefined)('npm run bench -- dead-nats [needs nats-server]', () => {
  test('its server killed for all of a run: webhooks come, then the stream has each event once, in order', {
    timeout,
  }, async () => {
    const { figures, failures } = await deadNatsBench.run({
      ...{ runs, events: 1_000 },
      progress: () => undefined,
    });
    expect(failures).toEqual([]);
    expectSound(figures);
    const counted = figures.filter(({ unit }) => unit === 'events').map(({ id, value }) => [id, value]);
    expect(counted).toEqual([
      ['dead-nats-lost', 0],
      ['dead-nats-reordered', 0],
      ['dead-nats-twice', 0],
    ]);
  });
});

test('a relay that loses its lease has disturbed the run: it counts from the beginning', {
  timeout,
}, async () => {
  await site.clear();
  await using product = await Product.start({
    databaseUrl: site.url,
    port: await freePort(),
    configuration: { sinks: [{ type: 'null', name: 'null' }] },
  });
  await product.live('null');
  await site.load({ events: 100, perTransaction: 1, keys: 'many' });
  await product.until(
    (scrape) => scrape.value('event_runtime_sink_delivered_total', { sink: 'null' }) >= 100,
  );
  await site.sql.query('delete from event_runtime.relay_lease');
  await expect(product.until(() => false)).rejects.toThrow(Disturbed);
});

describe('what is printed of the run', () => {
  test('the limits are those that the product has with its configuration', { timeout }, async () => {
    const at = { databaseUrl: site.url, port: 0 };
    const byDefault = await productLimits({ ...at, configuration: {} });
    const relay = { windowBytes: '2MiB', pollMs: 250 };
    expect(await productLimits({ ...at, configuration: { relay } })).toEqual({
      ...byDefault,
      ...{ windowBytes: 2_097_152, inHandBytes: 524_288, pollMs: 250 },
    });
  });

  test('the loads have as many entities as is printed', { timeout }, async () => {
    await site.clear();
    const entities = async (): Promise<number> => {
      const { rows } = await site.sql.query<{ keys: number }>(
        'select count(distinct entity_key)::int as keys from event_runtime.outbox',
      );
      return rows[0]?.keys ?? 0;
    };
    const steady = { perSecond: 1_000, seconds: 1, perTransaction: 100 };
    await site.load({ events: 1_000, perTransaction: 1, keys: 'hot' });
    await emitSteadily(site.url, { ...steady, keys: 'hot' });
    expect(await entities()).toBe(keyCounts.hot);
    await site.clear();
    // Each key is left out by one in twenty thousand.
    await site.load({ events: 10 * keyCounts.many, perTransaction: 1_000, keys: 'many' });
    await emitSteadily(site.url, { ...steady, keys: 'many' });
    expect(await entities()).toBeGreaterThan(keyCounts.many - 5);
    expect(await entities()).toBeLessThanOrEqual(keyCounts.many);
  });
});

/** Each has all its runs and is a number; the verdict is that of what is printed, but for rounding at the very bound. */
function expectSound(figures: readonly Figure[]): void {
  for (const figure of figures) {
    const { id, value, reference, ratio, budget, goal, met, spread } = figure;
    expect(figure.runs, id).toBe(runs);
    const numbers = [value, ...spread, reference ?? 0, ratio ?? 0];
    expect(
      numbers.every((each) => Number.isFinite(each) && each >= 0),
      id,
    ).toBe(true);
    expect(ratio === null, id).toBe(reference === null);
    const judged = ratio ?? value;
    if (budget === null) expect(met, id).toBeNull();
    else if (judged !== budget) expect(met, id).toBe(goal === 'at least' ? judged > budget : judged < budget);
    else if (reference === null) expect(met, id).toBe(true);
  }
}

/** Beside the tests' own pg_dump, or on the path. */
async function findRecvlogical(): Promise<string | undefined> {
  const dump = inject('pgDump');
  const beside = dump === undefined ? undefined : join(dirname(dump), 'pg_recvlogical');
  if (beside !== undefined && existsSync(beside)) return beside;
  return (await onPath('pg_recvlogical'))[0];
}
