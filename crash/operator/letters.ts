import { setTimeout as sleep } from 'node:timers/promises';
import { requestRedrive } from '@event-runtime/runtime';
import type pg from 'pg';
import type { Broker } from '../processes/broker.ts';
import type { Redrives } from '../verdict/redriven.ts';

export interface LettersOptions {
  readonly pool: pg.Pool;
  readonly broker: Broker;
  /** The one into NATS. */
  readonly sink: string;
}

/** While events are poison, the largest message that the stream takes, headers included. Bytes. */
const poisonLimit = 8_192;

/** How long it is waited for letters. Milliseconds. */
const mostPoisonMs = 4_000;

/** So long the sink may go by the limit that was, and a little more. Milliseconds. */
const forgetMs = 1_200;

/** How long it is waited until the sink has settled what may have been refused. Milliseconds. */
const mostSettleMs = 8_000;

/**
 * Makes large events poison for the stream, so that they become dead letters, and has them redriven. What the product
 * has in its tables decides only when; the verdict goes by the times that are written down here, by this machine's clock.
 */
export class Letters {
  readonly #options: LettersOptions;
  readonly #poisonedAt: number[] = [];
  #letters = 0;
  readonly #requests: { startedAt: number; answeredAt: number }[] = [];

  constructor(options: LettersOptions) {
    this.#options = options;
  }

  get redrives(): Redrives {
    return { poisonedAt: this.#poisonedAt, requests: this.#requests, letters: this.#letters };
  }

  /** @param restMs between the end of the poison and the redrive: newer events pass meanwhile */
  async poisonAndRedrive(restMs: number, signal: AbortSignal): Promise<void> {
    const { broker } = this.#options;
    try {
      this.#poisonedAt.push(Date.now());
      await broker.limitMessages(poisonLimit, AbortSignal.any([signal, AbortSignal.timeout(mostPoisonMs)]));
      const until = Date.now() + mostPoisonMs;
      while (Date.now() < until && !(await this.#enough())) await sleep(50, undefined, { signal });
    } finally {
      await broker.limitMessages(-1, AbortSignal.timeout(120_000));
    }
    await sleep(forgetMs + restMs, undefined, { signal });
    const { rows } = await this.#options.pool.query<{ now: string }>(
      'select pg_current_snapshot()::text as now',
    );
    const until = Date.now() + mostSettleMs;
    while (!(await this.#settled(rows[0]?.now)) && Date.now() < until)
      await sleep(300, undefined, { signal });
    await this.redrive(rows[0]?.now);
  }

  /**
   * All that are dead, if the sink has settled what was committed up to a snapshot: a crash would otherwise have it handed
   * over again beside its letter.
   *
   * @param upTo default: everything that is committed now
   */
  async redrive(upTo?: string): Promise<void> {
    const { pool, sink } = this.#options;
    if (!(await this.#some('')) || !(await this.#settled(upTo))) return;
    const client = await pool.connect();
    client.on('error', ignore);
    const startedAt = Date.now();
    let broken = true;
    try {
      const { letters } = await requestRedrive(client, { sink }, { by: 'crash' });
      this.#letters += letters;
      broken = false;
    } finally {
      // Also where the answer was cut off: from now on it is settled what became of it.
      this.#requests.push({ startedAt, answeredAt: Date.now() + 1 });
      client.off('error', ignore);
      client.release(broken);
    }
  }

  /** Whether there are several of an entity: they have an order. */
  async #enough(): Promise<boolean> {
    return await this.#some('group by tenant_id, entity_key having count(*) > 1');
  }

  async #settled(upTo: string | undefined): Promise<boolean> {
    const { rows } = await this.#options.pool.query<{ settled: boolean }>(
      `select not exists (
         select from event_runtime.outbox o
          where o.recorded_at > now() - interval '5 minutes' and not pg_visible_in_snapshot(o.tx_id, c.snapshot)
            and pg_visible_in_snapshot(o.tx_id, coalesce($2::pg_snapshot, pg_current_snapshot()))
       ) as settled from event_runtime.relay_checkpoint c where c.sink = $1`,
      [this.#options.sink, upTo ?? null],
    );
    return rows[0]?.settled === true;
  }

  async #some(more: string): Promise<boolean> {
    const { rows } = await this.#options.pool.query<{ some: boolean }>(
      `select exists (select from event_runtime.dead_letter where sink = $1 and state = 'dead' ${more}) as some`,
      [this.#options.sink],
    );
    return rows[0]?.some === true;
  }
}

function ignore(): void {
  // Whoever uses the connection is told.
}
