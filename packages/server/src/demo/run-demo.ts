import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { DemoMeasurements } from './demo-result.ts';
import type { DemoSetup, DemoSite } from './demo-setup.ts';
import { type DemoSink, demoTenants } from './demo-sink.ts';
import { countExpected, createSampleSchema, readExpected } from './expected-events.ts';
import { githubExamples } from './github-examples.ts';
import { killPlan } from './kill-plan.ts';
import { Killer, killsWithBacklog } from './killer.ts';
import { firstArrivals, latencies } from './latency.ts';
import { oddPayloads } from './odd-payloads.ts';
import type { RelayUnderTest } from './relay-under-test.ts';
import { SampleApplication } from './sample-application.ts';
import { samplePlan } from './sample-plan.ts';
import { awaitConfirmed, slotEvidence } from './slot-evidence.ts';
import { judge } from './verdict.ts';

export interface RunDemoOptions {
  /** The database of the demo, empty. */
  readonly databaseUrl: string;
  readonly setup: DemoSetup;
  /** Where the events go; empty. */
  readonly sink: DemoSink;
  /** How many events are committed. */
  readonly events: number;
  readonly seed: number;
  /** Whether the relay is killed again and again. Default false. */
  readonly kill?: boolean;
  /** Upper bound of committed events per second; 0 for none. Default 0. */
  readonly eventsPerSecond?: number;
  /** Bytes of the large payload. Default 5 MiB. */
  readonly largeBytes?: number;
  /** How long nothing may arrive, after the last commit, until the missing events count as lost. Default 30,000. */
  readonly stallMs?: number;
  /** How long the slot may take to be confirmed up to the last commit after everything arrived. Default 30,000. */
  readonly confirmMs?: number;
  /** How long nothing may come before the end is believed. Default 300. */
  readonly quietMs?: number;
  readonly onProgress?: (progress: DemoProgress) => void;
  readonly signal: AbortSignal;
}

/** Where a run stands. */
export interface DemoProgress {
  readonly events: number;
  readonly committedEvents: number;
  readonly received: number;
  readonly kills: number;
  readonly seconds: number;
}

/**
 * One whole run: the application commits, the relay carries, the sink writes down what comes, and at the end
 * everything is compared. Throws when the run itself fails; what is wrong with the deliveries is in
 * the verdict.
 */
export async function runDemo(options: RunDemoOptions): Promise<DemoMeasurements> {
  const failure = new AbortController();
  try {
    return await stageAndRun(options, failure);
  } catch (cause) {
    // Whoever was waiting was told only that the wait is over; the reason is what the reader needs.
    throw failure.signal.aborted ? failure.signal.reason : cause;
  }
}

async function stageAndRun(options: RunDemoOptions, failure: AbortController): Promise<DemoMeasurements> {
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const fail = (reason: unknown): void => failure.abort(reason);
  const { databaseUrl, sink } = options;
  const site: DemoSite = { databaseUrl, destination: sink.destination };
  await using database = observe(databaseUrl);
  await options.setup.prepare(site, { signal });
  await createSampleSchema(database.pool);
  await using relay = options.setup.relay(site, { onFailure: fail });
  await relay.start();
  return await new DemoRun(options, { relay, pool: database.pool, signal, fail }).run();
}

/** The parts of one run that are in place. */
interface DemoParts {
  readonly relay: RelayUnderTest;
  readonly pool: pg.Pool;
  readonly signal: AbortSignal;
  /** Ends the run with this reason. */
  readonly fail: (reason: unknown) => void;
}

class DemoRun {
  readonly #options: RunDemoOptions;
  readonly #parts: DemoParts;
  readonly #application: SampleApplication;
  readonly #killer: Killer;
  readonly #startedAt = performance.now();

  constructor(options: RunDemoOptions, parts: DemoParts) {
    this.#options = options;
    this.#parts = parts;
    const examples = githubExamples();
    const odd = oddPayloads(options.largeBytes);
    this.#application = new SampleApplication({
      databaseUrl: options.databaseUrl,
      plan: samplePlan({
        events: options.events,
        seed: options.seed,
        tenants: demoTenants,
        once: [...odd, ...examples],
        // The large one comes once; the small odd ones come again as often as any example.
        repeated: [...odd.slice(0, -1), ...examples],
      }),
      eventsPerSecond: options.eventsPerSecond ?? 0,
      limit: () => this.#killer.committedLimit,
    });
    this.#killer = new Killer({
      plan: options.kill === true ? killPlan(options) : [],
      relay: parts.relay,
      received: () => options.sink.distinct,
      countCommitted: () => countExpected(parts.pool),
    });
  }

  async run(): Promise<DemoMeasurements> {
    const ticker = setInterval(() => this.#options.onProgress?.(this.#progress()), 100);
    const killing = new AbortController();
    const signal = AbortSignal.any([this.#parts.signal, killing.signal]);
    const killed = this.#killer.run({ signal });
    killed.catch((cause: unknown) => this.#parts.fail(cause));
    try {
      const lsn = await this.#application.run({ signal: this.#parts.signal });
      await this.#arrivals();
      killing.abort();
      await killed;
      return await this.#measure(lsn);
    } finally {
      killing.abort();
      await killed.catch(() => undefined);
      clearInterval(ticker);
      this.#options.onProgress?.(this.#progress());
    }
  }

  /** Waits until everything that was committed has arrived, or nothing arrives any more. */
  async #arrivals(): Promise<void> {
    const { signal } = this.#parts;
    const { sink } = this.#options;
    const stallMs = this.#options.stallMs ?? 30_000;
    const doneAt = performance.now();
    while (!this.#complete()) {
      if (performance.now() - Math.max(doneAt, sink.lastAt) > stallMs) return;
      await sleep(10, undefined, { signal });
    }
  }

  #complete(): boolean {
    const { sink } = this.#options;
    const { commitAskedAt } = this.#application;
    if (sink.distinct < commitAskedAt.size) return false;
    return [...commitAskedAt.keys()].every((eventId) => sink.has(eventId));
  }

  async #measure(lsn: string): Promise<DemoMeasurements> {
    const { relay, pool, signal } = this.#parts;
    const { sink } = this.#options;
    const { slot } = this.#options.setup;
    const confirmMs = this.#options.confirmMs ?? 30_000;
    // Where events are missing already, the slot's word changes nothing.
    const timeoutMs = this.#complete() ? confirmMs : Math.min(confirmMs, 1_000);
    await awaitConfirmed(pool, { slot, lsn, timeoutMs, signal });
    const quietMs = this.#options.quietMs ?? 300;
    while (performance.now() - sink.lastAt < quietMs) await sleep(20, undefined, { signal });
    await relay.stop();
    const arrivals = await sink.arrivals();
    const { kills } = this.#killer;
    return {
      verdict: judge(await readExpected(pool), arrivals),
      committed: this.#application.committed,
      rolledBack: this.#application.rolledBack,
      kills: kills.length,
      killsWithBacklog: killsWithBacklog(kills, firstArrivals(arrivals.received).values()),
      slot: await slotEvidence(pool, { slot, lsn }),
      latencies: latencies(this.#application.commitAskedAt, arrivals.received),
      seconds: (performance.now() - this.#startedAt) / 1_000,
    };
  }

  #progress(): DemoProgress {
    return {
      events: this.#options.events,
      committedEvents: this.#application.committedEvents,
      received: this.#options.sink.distinct,
      kills: this.#killer.kills.length,
      seconds: (performance.now() - this.#startedAt) / 1_000,
    };
  }
}

/** Connections that only look: for the counts and the comparison. */
function observe(databaseUrl: string): AsyncDisposable & { readonly pool: pg.Pool } {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2, application_name: 'demo observer' });
  pool.on('error', () => undefined);
  return { pool, [Symbol.asyncDispose]: () => pool.end() };
}
