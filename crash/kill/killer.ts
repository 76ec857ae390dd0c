import { setTimeout as sleep } from 'node:timers/promises';
import type { SupervisedProcess } from '@event-runtime/runtime/testing';
import type pg from 'pg';
import type { Operator } from '../operator/operator.ts';
import type { FailpointControl } from '../patch/failpoint-control.ts';
import type { Broker } from '../processes/broker.ts';
import type { Cluster } from '../processes/cluster.ts';
import type { Traffic } from '../verdict/traffic.ts';
import type { Writers } from '../workload/writers.ts';
import { addExpiredDay } from './expired-day.ts';
import {
  type FailpointKill,
  type Freeze,
  failpointKill,
  type PlannedKill,
  type RandomKill,
  type Target,
} from './kill-plan.ts';
import { failpointTable, type KillRecord, shortOf } from './kill-record.ts';
import {
  dropSlot,
  holdDeliveries,
  joinOverHeldCommits,
  type Provocation,
  pauseSinks,
  untilUnflushed,
} from './provocation.ts';

export interface KillerOptions {
  readonly plan: readonly PlannedKill[];
  readonly relay: SupervisedProcess;
  /** Another replica of it: runs only while the first one is stopped, and for a while after. */
  readonly rival: SupervisedProcess;
  readonly receiver: SupervisedProcess;
  readonly cluster: Cluster;
  /** Undefined: there is no sink into NATS. */
  readonly broker: Broker | undefined;
  readonly writers: Writers;
  /** Connections to the database, for provocations. */
  readonly pool: pg.Pool;
  readonly traffic: Traffic;
  /** Undefined: nothing is replayed, redriven or rewound. */
  readonly operator: Operator | undefined;
  readonly control: FailpointControl;
  /** What the file sink writes. */
  readonly sinkFile: string;
  /** All that were found. */
  readonly failpoints: readonly string[];
  /** Kills with work in flight that each failpoint is to have. */
  readonly hits: number;
  /** Milliseconds that nothing may come, between two kills, until the run is given up as stalled. */
  readonly stallMs: number;
  /** Milliseconds to wait for an armed failpoint to be reached. */
  readonly reachMs: number;
  readonly onKill?: (record: KillRecord) => void;
}

/** How often a failpoint that is not reached is armed anew before it is given up. */
const mostTries = 6;

/** Events that are to be on their way when a relay is stopped. */
const backlogEvents = 40;
/** Milliseconds that a relay is stopped: half as long again as its lease. */
const frozenMs = 1_500;
/** Milliseconds that a relay which was stopped and continued runs beside the one that took over. */
const besideMs = 2_000;

/** Nothing has come for too long. */
class Stalled extends Error {}

/** Kills what the plan says, when it says, and starts it again. */
export class Killer {
  readonly #options: KillerOptions;
  readonly #records: KillRecord[] = [];
  #stalled = false;
  /** When everything was started again after the last kill, by the clock of arrivals. */
  #restartedAt = now();

  constructor(options: KillerOptions) {
    this.#options = options;
  }

  /** What was killed so far. */
  get records(): readonly KillRecord[] {
    return this.#records;
  }

  /** Whether nothing came any more, so that the rest of the plan was dropped. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /**
   * Carries out the plan; then comes back to failpoints that have too few kills. Everything runs when it resolves, also
   * when it gave up because nothing came any more: what is missing then is the verdict's to say.
   */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#killAll(signal);
    } catch (cause) {
      if (!(cause instanceof Stalled)) throw cause;
      this.#stalled = true;
    }
  }

  async #killAll(signal: AbortSignal): Promise<void> {
    const { plan, failpoints, hits, traffic } = this.#options;
    for (const kill of plan) {
      signal.throwIfAborted();
      if (kill.type === 'random') await this.#atRandom(kill, signal);
      else if (kill.type === 'freeze') await this.#freeze(kill, signal);
      else await this.#atFailpoint(kill, signal);
    }
    for (let round = 1; round < mostTries; round += 1) {
      const inFlightAt = (at: number): number => traffic.inFlightAt(at);
      for (const failpoint of shortOf(hits, failpointTable(this.#records, { failpoints, inFlightAt }))) {
        await this.#progress(signal);
        await this.#atFailpoint(failpointKill(failpoint, { pass: 1, afterMs: 0, turn: round }), signal);
      }
    }
    await this.#progress(signal);
  }

  async #atRandom(kill: RandomKill, signal: AbortSignal): Promise<void> {
    if (!kill.early) await this.#progress(signal);
    await sleep(kill.afterMs, undefined, { signal });
    await using stack = new AsyncDisposableStack();
    await this.#prelude(kill, { stack, signal });
    if (kill.prelude !== 'relaxed') await this.#backlog(signal);
    const at = now();
    const ran = await Promise.all(kill.targets.map((target) => this.#kill(target)));
    const targets = kill.targets.filter((_, index) => ran[index] === true);
    if (targets.length > 0) this.#record({ at, targets, failpoint: undefined });
    await this.#restart(kill.targets);
  }

  async #freeze({ afterMs }: Freeze, signal: AbortSignal): Promise<void> {
    const { relay, rival, receiver, traffic } = this.#options;
    await this.#progress(signal);
    await rival.startReady(signal);
    await sleep(afterMs, undefined, { signal });
    try {
      // So that the relay has deliveries in hand, some of them begun.
      receiver.freeze();
      const until = now() + 2_000;
      while (traffic.outstanding < backlogEvents && now() < until) await sleep(5, undefined, { signal });
      const frozen = relay.freeze();
      receiver.thaw();
      // Longer than its lease: what comes after that is the other's.
      this.#restartedAt = now() + frozenMs;
      await sleep(frozenMs, undefined, { signal });
      await this.#progress(signal);
      const thawedAt = now();
      relay.thaw();
      await sleep(besideMs, undefined, { signal });
      const at = now();
      if (await rival.kill())
        this.#record({ at, targets: ['relay'], failpoint: undefined, frozen, thawedAt });
    } finally {
      receiver.thaw();
      relay.thaw();
      await rival.kill();
    }
    this.#restartedAt = now();
  }

  async #prelude(
    kill: RandomKill,
    { stack, signal }: { readonly stack: AsyncDisposableStack; readonly signal: AbortSignal },
  ): Promise<void> {
    const { pool, writers, sinkFile, operator } = this.#options;
    switch (kill.prelude) {
      case 'none':
        break;
      case 'stuck':
        stack.use(await holdDeliveries(pool, signal));
        break;
      case 'held':
        await joinOverHeldCommits(pool, signal);
        break;
      case 'relaxed':
        if (operator !== undefined) stack.use(await operator.hold());
        stack.use(await untilUnflushed({ pool, writers, sinkFile, signal }));
        break;
    }
  }

  async #atFailpoint(kill: FailpointKill, signal: AbortSignal): Promise<void> {
    const { control, relay, reachMs } = this.#options;
    await sleep(kill.afterMs, undefined, { signal });
    const restarted = await this.#killToProvoke(kill, signal);
    const token = control.arm(kill.failpoint, kill.pass);
    // A round of retention that meets another upkeep at the start comes again after a minute.
    const late = AbortSignal.timeout(kill.provocation === 'expire-day' ? reachMs + 75_000 : reachMs);
    try {
      if (restarted) await relay.start();
      await this.#provoke(kill.provocation, signal);
      // An end of another kind is no hit: it is started again by itself, and waited for.
      while (control.hitOf(token) === undefined && !late.aborted) {
        if (relay.running) await relay.ended(AbortSignal.any([late, signal])).catch(() => undefined);
        else await sleep(20, undefined, { signal });
        signal.throwIfAborted();
      }
    } finally {
      control.disarm();
    }
    const hit = control.hitOf(token);
    if (hit === undefined) return;
    this.#record({ at: hit.at, targets: ['relay'], failpoint: hit.failpoint });
    await this.#restart(['relay']);
  }

  async #provoke(provocation: Provocation, signal: AbortSignal): Promise<void> {
    const { pool, operator } = this.#options;
    switch (provocation) {
      case 'pause-sinks':
        await pauseSinks(pool, signal);
        break;
      case 'replay':
      case 'redrive':
      case 'rewind':
        await operator?.give(provocation, signal);
        break;
      case 'none':
      case 'drop-slot':
      case 'expire-day':
        break;
    }
  }

  #record(record: KillRecord): void {
    this.#records.push(record);
    this.#options.onKill?.(record);
  }

  /** @returns whether the relay was killed for it, and is to be started again */
  async #killToProvoke({ provocation }: FailpointKill, signal: AbortSignal): Promise<boolean> {
    const { relay, pool } = this.#options;
    if (provocation !== 'drop-slot' && provocation !== 'expire-day') return false;
    const at = now();
    if (await relay.kill()) this.#record({ at, targets: ['relay'], failpoint: undefined });
    if (provocation === 'drop-slot') await dropSlot(pool, signal);
    else await addExpiredDay(pool);
    return true;
  }

  /** Waits until events are on their way, as far as can be told now; not for long, for any moment is a good one. */
  async #backlog(signal: AbortSignal): Promise<void> {
    const until = now() + 1_000;
    while (this.#options.traffic.outstanding === 0 && now() < until) await sleep(2, undefined, { signal });
  }

  /** @returns false when it did not run */
  async #kill(target: Target): Promise<boolean> {
    if (target === 'postgres') {
      await this.#options.cluster.kill();
      return true;
    }
    if (target === 'nats') return (await this.#options.broker?.kill()) ?? false;
    return await this.#options[target].kill();
  }

  /** All at once: what comes up first must bear that the others are not there yet. */
  async #restart(targets: readonly Target[]): Promise<void> {
    await Promise.all(
      targets.map(async (target) => {
        switch (target) {
          case 'relay':
            await this.#options.relay.start();
            break;
          case 'receiver':
            await this.#options.receiver.start();
            break;
          case 'postgres':
            await this.#options.cluster.resume();
            break;
          case 'nats':
            await this.#options.broker?.resume();
            break;
        }
      }),
    );
    this.#restartedAt = now();
  }

  /** Waits until an event has come since everything was started again. @throws Stalled */
  async #progress(signal: AbortSignal): Promise<void> {
    const { traffic, stallMs } = this.#options;
    const until = now() + stallMs;
    while (traffic.lastArrivalAt <= this.#restartedAt) {
      if (now() > until) throw new Stalled();
      await sleep(20, undefined, { signal });
    }
  }
}

/** Milliseconds since 1970, with a fraction: the clock that every process here uses. */
function now(): number {
  return performance.timeOrigin + performance.now();
}
