import { setTimeout as sleep } from 'node:timers/promises';
import { isEventRuntimeError } from '@event-runtime/outbox';
import { rewindSink } from '@event-runtime/runtime';
import { type SeededRandom, seededRandom } from '@event-runtime/runtime/testing';
import type pg from 'pg';
import type { Broker } from '../processes/broker.ts';
import { fileSink, natsSink, relayName } from '../processes/under-test.ts';
import type { Redrives } from '../verdict/redriven.ts';
import { isBrokenConnection } from '../workload/broken-connection.ts';
import { Letters } from './letters.ts';
import { isReplaying, orderReplay, setReplaysPaused } from './order-replay.ts';

/** What an operator orders beside what is fed. */
export type Order = 'replay' | 'redrive' | 'rewind';

export interface OperatorOptions {
  readonly pool: pg.Pool;
  /** Undefined: there is no sink into NATS, and so nothing that could be poison. */
  readonly broker: Broker | undefined;
  readonly seed: number;
}

/** What cannot be ordered now: a sink is not known yet, has not got that far, has no event of the selection. */
const notNow: ReadonlySet<string> = new Set(['ER1320', 'ER4019', 'ER6002', 'ER6005']);

/** How long an order is tried that cannot be given yet. Milliseconds. */
const patienceMs = 5_000;

/**
 * Orders replays, redrives and rewinds while everything is killed: one thing after another, at moments of chance, and
 * when the killer wants one.
 */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #random: SeededRandom;
  readonly #letters: Letters | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: OperatorOptions) {
    const { pool, broker, seed } = options;
    this.#options = options;
    this.#random = seededRandom(seed * 1_000 + 999);
    if (broker !== undefined) this.#letters = new Letters({ pool, broker, sink: natsSink });
  }

  /** When events were made poison, and their letters redriven. */
  get redrives(): Redrives {
    return this.#letters?.redrives ?? { poisonedAt: [], requests: [], letters: 0 };
  }

  /** Orders until `stopping`; what is under way then is finished. */
  async run(stopping: AbortSignal): Promise<void> {
    const orders: readonly Order[] = ['replay', 'replay', 'redrive', 'rewind'];
    while (!stopping.aborted) {
      await sleep(500 + this.#random.below(2_000), undefined, { signal: stopping }).catch(() => undefined);
      if (!stopping.aborted) await this.give(this.#random.pick(orders), stopping);
    }
  }

  /** One order now, after what is under way. What a kill cuts off is not repeated. */
  async give(order: Order, signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      await unlessImpossible(async () => {
        if (order === 'replay') await patiently(async () => await this.#replay(), signal);
        else if (order === 'rewind') await patiently(async () => await this.#rewind(), signal);
        else await this.#letters?.poisonAndRedrive(this.#random.below(1_000), signal);
      });
    });
  }

  /** Nothing is ordered, and no replay goes on, until it is disposed: what they write flushes everybody's WAL. */
  async hold(): Promise<AsyncDisposable> {
    const { pool } = this.#options;
    const before = this.#turn;
    const held = Promise.withResolvers<undefined>();
    this.#turn = held.promise;
    await before;
    const release = async (): Promise<void> => {
      try {
        await setReplaysPaused(pool, false);
      } finally {
        held.resolve(undefined);
      }
    };
    try {
      await setReplaysPaused(pool, true);
    } catch (cause) {
      await release();
      throw cause;
    }
    return { [Symbol.asyncDispose]: release };
  }

  /** Asks for the letters that are left: nothing is poison any more. */
  async redriveRest(): Promise<void> {
    await this.#inTurn(async () => await unlessImpossible(async () => await this.#letters?.redrive()));
  }

  /** @returns whether one is under way */
  async #replay(): Promise<boolean> {
    const { pool, broker } = this.#options;
    const sink = broker === undefined || this.#random.below(2) === 0 ? fileSink : natsSink;
    return (await isReplaying(pool, sink)) || (await orderReplay(pool, { sink, random: this.#random }));
  }

  /** Of the file alone: a stream would keep of a repetition what is older than its duplicate window, and drop the rest. */
  async #rewind(): Promise<true> {
    const to = new Date(Date.now() - 1_000 - this.#random.below(3_000)).toISOString();
    await rewindSink(this.#options.pool, { relay: relayName, sink: fileSink, to });
    return true;
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    await mine;
  }
}

/** @param work resolves with false, or rejects, when it is too early */
async function patiently(work: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  for (const until = Date.now() + patienceMs; ; ) {
    try {
      if (await work()) return;
    } catch (cause) {
      if (!isEventRuntimeError(cause) || !notNow.has(cause.code) || Date.now() > until) throw cause;
    }
    if (Date.now() > until) return;
    await sleep(200, undefined, { signal });
  }
}

/** What a kill cuts off, or comes too early, is let be. */
async function unlessImpossible(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'AbortError') return;
    if (isEventRuntimeError(cause) ? !notNow.has(cause.code) : !isBrokenConnection(cause)) throw cause;
  }
}
