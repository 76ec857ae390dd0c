import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SecretBox } from '@event-runtime/runtime';
import {
  type EmbeddedPostgresOptions,
  freePort,
  type SupervisedProcess,
} from '@event-runtime/runtime/testing';
import pg from 'pg';
import { findService } from '../scripts/services/services.ts';
import { awaitArrivals } from './await-arrivals.ts';
import type { CrashOptions } from './crash-options.ts';
import { killPlan } from './kill/kill-plan.ts';
import { countKills, failpointTable, type KillRecord, shortOf } from './kill/kill-record.ts';
import { Killer } from './kill/killer.ts';
import { failpointsToHit } from './kill/provocation.ts';
import { Operator, type Order } from './operator/operator.ts';
import { FailpointControl } from './patch/failpoint-control.ts';
import { patchedCopy } from './patch/patched-copy.ts';
import { Broker, stream } from './processes/broker.ts';
import { Cluster } from './processes/cluster.ts';
import { natsSubjectOf } from './processes/nats-routes.ts';
import {
  fileSink,
  natsSink,
  prepare,
  receiverProcess,
  relayProcess,
  type Site,
} from './processes/under-test.ts';
import { ArrivalLogReader } from './receiver/arrival-log.ts';
import { readFileArrivals } from './receiver/file-arrivals.ts';
import { readNatsArrivals } from './receiver/nats-arrivals.ts';
import { type CrashResult, crashResult } from './report/crash-result.ts';
import { judgeAll, type WholeVerdict } from './verdict/all-sinks.ts';
import { Traffic } from './verdict/traffic.ts';
import { type Arrival, type LedgerEntry, requireGapless, type Verdict } from './verdict/verdict.ts';
import { whereabouts } from './verdict/whereabouts.ts';
import { createLedger, readLedger, readReplays } from './workload/ledger.ts';
import { Writers } from './workload/writers.ts';

export interface RunCrashOptions extends Omit<CrashOptions, 'json'> {
  /** The checkout, built. */
  readonly root: string;
  /** What its PostgreSQL begins with, of the same major version. Default: it is new. */
  readonly copyOf?: EmbeddedPostgresOptions['copyOf'];
  /** Connections that write at the same time. Default 6. */
  readonly connections?: number;
  /** Milliseconds that nothing may come, between two kills, until the run counts as stalled. Default 60,000. */
  readonly stallMs?: number;
  /**
   * Milliseconds that nothing may come, after the last kill, until what is missing counts as lost. Default 60,000; for a
   * mutant, of which something will be missing, 20,000.
   */
  readonly quietMs?: number;
  readonly onProgress?: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What one run is made of. */
interface Parts {
  readonly site: Site;
  readonly cluster: Cluster;
  readonly broker: Broker | undefined;
  readonly pool: pg.Pool;
  readonly relay: SupervisedProcess;
  readonly rival: SupervisedProcess;
  readonly receiver: SupervisedProcess;
  readonly log: ArrivalLogReader;
  readonly traffic: Traffic;
  readonly signal: AbortSignal;
}

/** Who writes, who orders something, and who kills. */
interface Actors {
  readonly writers: Writers;
  readonly operator: Operator | undefined;
  readonly killer: Killer;
  /** Those that the run is to hit. */
  readonly failpoints: readonly string[];
}

interface Stage extends Parts, Actors {
  readonly startedAt: number;
}

/**
 * One whole run: writers commit, the relay carries, the receiver writes down, everything is killed again and again, and
 * when all is quiet, what was committed is compared with what came. Throws when the run itself fails.
 */
export async function runCrash(options: RunCrashOptions): Promise<CrashResult> {
  const failure = new AbortController();
  const startedAt = performance.now();
  try {
    return await setUpAndRun(options, { failure, startedAt });
  } catch (cause) {
    // Whoever was waiting was told only that the wait is over; the reason is what the reader needs.
    throw failure.signal.aborted ? failure.signal.reason : cause;
  }
}

async function setUpAndRun(
  options: RunCrashOptions,
  { failure, startedAt }: { readonly failure: AbortController; readonly startedAt: number },
): Promise<CrashResult> {
  const { mutant, seed, hits, sources, failpoints: only, onProgress } = options;
  const signal = AbortSignal.any([options.signal, failure.signal]);
  await using copy = await patchedCopy({ root: options.root, patches: mutant?.patches ?? [] });
  const failpoints =
    hits > 0 ? failpointsToHit(copy.failpoints, { sources, only, orders: ordersOf(options) }) : [];
  await using folder = await temporaryFolder();
  onProgress?.(`seed ${seed}; ${failpoints.length} failpoints; starting PostgreSQL ${options.postgres}`);
  await using cluster = await Cluster.start(options.postgres, options.copyOf);
  await using broker = options.nats === 0 ? undefined : await startBroker(options.nats);
  const site: Site = {
    databaseUrl: cluster.url,
    receiverPort: await freePort(),
    arrivalLog: join(folder.path, 'arrivals.ndjson'),
    sinkFile: join(folder.path, 'sink.ndjson'),
    configFile: join(folder.path, 'event-runtime.config.json'),
    source: sources,
    natsServers: broker?.urls ?? [],
    afterDeadLetter: options.afterDeadLetter,
    secretKey: SecretBox.newKey(),
    onFailure: (error) => failure.abort(error),
  };
  await prepare(site, signal);
  await using database = observe(site.databaseUrl);
  await createLedger(database.pool);
  const control = new FailpointControl(folder.path);
  await using receiver = receiverProcess(site);
  await using relay = relayProcess(site, { program: copy.program, env: control.env });
  // It has no failpoints: which of the two would be hit?
  await using rival = relayProcess(site, { program: copy.program, env: {} });
  await receiver.startReady(signal);
  await relay.startReady(signal);
  using log = new ArrivalLogReader(site.arrivalLog);
  const { pool } = database;
  const parts = { site, cluster, broker, pool, relay, rival, receiver, log, traffic: new Traffic(), signal };
  return await new Run(options, {
    ...parts,
    ...actors(options, { ...parts, control, failpoints }),
    startedAt,
  }).run();
}

function actors(
  options: RunCrashOptions,
  parts: Parts & { readonly control: FailpointControl; readonly failpoints: readonly string[] },
): Actors {
  const { kills, hits, freezes, seed, rate, mutant, connections = 6, onProgress } = options;
  const { site, traffic, relay, rival, receiver, cluster, broker, pool, control, failpoints } = parts;
  const { databaseUrl } = site;
  const writers = new Writers({ databaseUrl, traffic, seed, connections, rate, mostOutstanding: 2_000 });
  const operator = options.operated ? new Operator({ pool, broker, seed }) : undefined;
  const killer = new Killer({
    plan: killPlan({
      ...{ kills, seed, failpoints, hits, freezes },
      nats: broker !== undefined,
      prelude: mutant?.prelude,
      only: mutant?.only,
    }),
    ...{ relay, rival, receiver, cluster, broker, writers, operator, pool, traffic },
    ...{ control, failpoints, hits },
    onKill: ({ at, targets, failpoint = 'random' }) => {
      onProgress?.(`${new Date(at).toISOString()} killed ${targets.join(', ')} (${failpoint})`);
    },
    sinkFile: site.sinkFile,
    stallMs: options.stallMs ?? 60_000,
    reachMs: 15_000,
  });
  return { writers, operator, killer, failpoints };
}

class Run {
  readonly #options: RunCrashOptions;
  readonly #stage: Stage;

  constructor(options: RunCrashOptions, stage: Stage) {
    this.#options = options;
    this.#stage = stage;
  }

  async run(): Promise<CrashResult> {
    const tail = setInterval(() => this.#read(), 10);
    const ticker = setInterval(() => this.#sayProgress(), 5_000);
    try {
      await this.#killUnderLoad();
      const { site, pool, traffic, broker, operator, signal } = this.#stage;
      const quietMs = quietMsOf(this.#options);
      await awaitArrivals({ pool, traffic, broker, operator, quietMs, signal, sinkFile: site.sinkFile });
      return await this.#result();
    } finally {
      clearInterval(tail);
      clearInterval(ticker);
    }
  }

  async #killUnderLoad(): Promise<void> {
    const { writers, operator, killer, traffic, signal } = this.#stage;
    const ended = new AbortController();
    const both = AbortSignal.any([signal, ended.signal]);
    // They end by themselves only when they fail.
    const acting = Promise.all([writers.run(both), operator?.run(both)]);
    const killing = killer.run(both).then(async () => {
      while (traffic.acknowledged < this.#options.events && !killer.stalled && !this.#isQuiet()) {
        await sleep(20, undefined, { signal: both });
      }
    });
    try {
      await Promise.race([killing, acting]);
    } finally {
      ended.abort();
      await Promise.allSettled([killing, acting]);
    }
    await acting;
  }

  /** Nothing has come for too long: the writers, who wait for that, would wait for ever. */
  #isQuiet(): boolean {
    const { traffic } = this.#stage;
    const now = performance.timeOrigin + performance.now();
    return traffic.arrived > 0 && now - traffic.lastArrivalAt > quietMsOf(this.#options);
  }

  /** What was committed, and ordered, compared with what each sink has. */
  async #judge(
    ledger: readonly LedgerEntry[],
    inStream: readonly Arrival[] | undefined,
  ): Promise<WholeVerdict> {
    const { site, pool, signal, log, operator, killer } = this.#stage;
    return judgeAll(ledger, {
      sinks: [
        { sink: 'webhooks', arrivals: log.arrivals, twoSenders: overlapsOf(killer.records) },
        { sink: fileSink, arrivals: await readFileArrivals(site.sinkFile, signal) },
      ],
      stream:
        inStream === undefined ? undefined : { sink: natsSink, arrivals: inStream, subjectOf: natsSubjectOf },
      replays: await readReplays(pool),
      redrives: operator?.redrives ?? { poisonedAt: [], requests: [], letters: 0 },
      lettersHold: this.#options.afterDeadLetter === 'wait',
    });
  }

  async #result(): Promise<CrashResult> {
    const { pool, relay, broker, traffic, writers, killer, failpoints, startedAt } = this.#stage;
    const { seed, postgres, sources, nats, afterDeadLetter, mutant, hits } = this.#options;
    await relay.stop();
    this.#read();
    const ledger = await readLedger(pool);
    requireGapless(ledger);
    const inStream = broker === undefined ? undefined : await readNatsArrivals(broker.urls, stream);
    const storedAt = inStream === undefined ? undefined : firstArrivals(inStream);
    const inFlightAt = (at: number): number => traffic.inFlightAt(at, storedAt);
    const { byTarget, ...kills } = countKills(killer.records, inFlightAt);
    const table = failpointTable(killer.records, { failpoints, inFlightAt });
    const { twice, replayed, redriven, ...verdict } = await this.#judge(ledger, inStream);
    return crashResult(await this.#traced(verdict), {
      ...{ seed, postgres, sources, nats, afterDeadLetter, twice, replayed, redriven },
      ...{ mutant: mutant?.name ?? null, events: ledger.length },
      ...kills,
      killsOf: byTarget,
      failpoints: table,
      hits,
      short: shortOf(hits, table),
      transactions: writers.counts,
      stalled: killer.stalled,
      unaskedExits: unaskedExitsOf(this.#stage),
      seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    });
  }

  async #traced(verdict: Verdict): Promise<Verdict> {
    const lost = verdict.differences.filter(({ kind }) => kind === 'lost');
    if (lost.length === 0) return verdict;
    const traces = await whereabouts(this.#stage.pool, lost);
    const differences = verdict.differences.map((difference) => {
      const trace = traces[lost.indexOf(difference)];
      return trace === undefined ? difference : { ...difference, line: `${difference.line}; ${trace}` };
    });
    return { ...verdict, differences };
  }

  #read(): void {
    const { log, traffic } = this.#stage;
    for (const { eventId, at, replay } of log.read()) if (replay === undefined) traffic.arrive(eventId, at);
  }

  #sayProgress(): void {
    const { traffic, killer, startedAt } = this.#stage;
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    const parts = [
      `${killer.records.length} kills`,
      `${traffic.acknowledged} committed`,
      `${traffic.arrived} received`,
    ];
    this.#options.onProgress?.(
      `${[...parts, `${traffic.outstanding} on the way`].join(' · ')} · ${seconds} s`,
    );
  }
}

/** When a relay that was stopped had been continued, and the one in its place still ran. */
function overlapsOf(records: readonly KillRecord[]): { readonly from: number; readonly to: number }[] {
  return records.flatMap(({ thawedAt, at }) => (thawedAt === undefined ? [] : [{ from: thawedAt, to: at }]));
}

/** When each event came first, other than by a replay. */
function firstArrivals(arrivals: readonly Arrival[]): Map<string, number> {
  const first = new Map<string, number>();
  for (const { eventId, at, replay } of arrivals) {
    if (replay === undefined && !first.has(eventId)) first.set(eventId, at);
  }
  return first;
}

function unaskedExitsOf({ relay, rival, receiver }: Stage): number {
  return relay.unaskedExits + rival.unaskedExits + receiver.unaskedExits;
}

function quietMsOf({ quietMs, mutant }: RunCrashOptions): number {
  return quietMs ?? (mutant === undefined ? 60_000 : 20_000);
}

/** Only what is refused for good can be redriven, and that is only by the stream. */
function ordersOf({ operated, nats }: RunCrashOptions): readonly Order[] {
  if (!operated) return [];
  return nats === 0 ? ['replay', 'rewind'] : ['replay', 'redrive', 'rewind'];
}

/** @throws Error without nats-server on this machine */
async function startBroker(nodes: 1 | 3): Promise<Broker> {
  const program = await findService('nats-server');
  if (program === undefined) throw new Error('there is no nats-server: `npm run services` obtains one');
  return await Broker.start(program, nodes);
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'event-runtime-crash-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Connections of nobody under test. The server dies under them now and then: the next query opens another. */
function observe(databaseUrl: string): AsyncDisposable & { readonly pool: pg.Pool } {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 6, application_name: 'crash observer' });
  pool.on('error', () => undefined);
  return { pool, [Symbol.asyncDispose]: () => pool.end() };
}
