import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type RunContext, Service } from '../../lifecycle/service.ts';
import { connectDirect } from '../../schema/direct-connection.ts';
import { keptAlive } from '../../schema/session-life.ts';
import { type Logger, silentLogger } from '../../telemetry/logger.ts';
import { type Gap, listGaps } from './retention-gaps.ts';
import { planOf, type RetentionOptions, type RetentionPlan } from './retention-options.ts';
import { retentionRound } from './retention-round.ts';

/** Any fixed number does; it is the same for every version of this program. */
const lockKey = '4409127756320017362';

/** How long the lock stays with a process that is stopped. Milliseconds. */
const silentMs = 60_000;

/**
 * Drops what is old, at the start and then every hour: partitions of the outbox, the inbox, the attempts and the
 * ticks. Of any number of replicas one does it at a time.
 *
 * The outbox goes oldest day first, and only what every sink of every relay has read and no pending delivery needs; up
 * to `maxDays`. What is older goes all the same, and the sinks that lose events by it are marked: `gapped_events` and
 * `gapped_at` of their checkpoints, in the transaction that drops the partition. See docs/operations/retention.md.
 *
 * Nothing that emits waits for it. A round that fails is logged and repeated.
 */
export class Retention extends Service {
  readonly #options: RetentionOptions;
  readonly #plan: RetentionPlan;
  readonly #logger: Logger;
  /** What has been said of each gapped sink. */
  readonly #said = new Map<string, string>();

  /** @throws RangeError days that make no sense */
  constructor(options: RetentionOptions) {
    super('retention');
    this.#options = options;
    this.#plan = planOf(options);
    this.#logger = (options.logger ?? silentLogger).child({ component: 'retention' });
  }

  protected override async run(context: RunContext): Promise<void> {
    context.ready();
    while (!context.stopping.aborted) {
      const interval = this.#options.intervalMs ?? 3_600_000;
      const again = (await this.#round(context.stopping)) ? interval : Math.min(60_000, interval);
      await sleep(again, undefined, { signal: context.stopping }).catch(() => undefined);
    }
  }

  async #round(signal: AbortSignal): Promise<boolean> {
    try {
      await using direct = await connectDirect({
        connectionString: this.#options.connectionString,
        applicationName: 'event-runtime retention',
        signal,
      });
      const { client } = direct;
      // An archive may take hours, and nothing be asked of the database meanwhile.
      await using alive = await keptAlive(client, silentMs);
      void alive;
      if (!(await alone(client))) return true;
      await this.#sayGaps(client);
      const done = await retentionRound({ client, plan: this.#plan, logger: this.#logger, signal });
      await this.#sayGaps(client);
      return done;
    } catch (error) {
      if (!signal.aborted) this.#logger.warn('retention.failed', { error });
      return false;
    }
  }

  /** From what is stored, so that a mark is never made without a word: each once, and again after a restart. */
  async #sayGaps(client: pg.Client): Promise<void> {
    for (const gap of await listGaps(client)) {
      const key = keyOf(gap);
      const mark = `${gap.events} ${gap.at}`;
      if (this.#said.get(key) === mark) continue;
      this.#said.set(key, mark);
      this.#logger.error('relay.sink.gapped', { ...gap });
    }
  }
}

/** Ends with the connection. */
async function alone(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [lockKey]);
  return rows[0]?.got === true;
}

function keyOf({ relay, sink, shard }: Gap): string {
  return JSON.stringify([relay, sink, shard]);
}
