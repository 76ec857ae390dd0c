import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliveryResult, Sink, SinkBatch } from '../../sinks/sink.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { Dispatcher, type DispatcherOptions } from './dispatcher.ts';
import { fromNothing, loggedEvent, seqs } from './event-fixture.suite.ts';
import { InHand } from './in-hand.ts';

type Answer = DeliveryResult['type'] | 'throw';

/** A sink whose answers follow a script; it keeps its own books of what was handed over. */
export class ScriptedSink implements Sink {
  readonly name = 'billing';
  readonly features = { order: true, dedupe: false, ownCheckpoint: false };
  /** Each batch, in order. */
  readonly batches: number[][] = [];
  readonly checkpoints: SinkBatch['checkpoint'][] = [];
  /** In the order of success. */
  readonly delivered: number[] = [];
  signal: AbortSignal | undefined;
  retryAfterMs = 1;
  readonly #answer: (event: LoggedEvent) => Answer | Promise<Answer>;

  constructor(answer: (event: LoggedEvent) => Answer | Promise<Answer>) {
    this.#answer = answer;
  }

  async deliver(batch: SinkBatch, { signal }: { readonly signal: AbortSignal }): Promise<DeliveryResult[]> {
    this.signal = signal;
    this.batches.push(seqs(batch.events));
    this.checkpoints.push(batch.checkpoint);
    const failed = new Set<string>();
    const results: DeliveryResult[] = [];
    for (const logged of batch.events) {
      const { entityKey, seq } = logged.event;
      // What comes behind a failed event of its entity fails as well: a sink must say so.
      const answer = failed.has(entityKey ?? '') ? 'retry' : await this.#answer(logged);
      if (answer === 'throw') throw new Error('the connection is gone');
      if (answer === 'retry') {
        if (entityKey !== null) failed.add(entityKey);
        results.push({ type: 'retry', afterMs: this.retryAfterMs, error: new Error('later') });
        continue;
      }
      if (answer === 'delivered') this.delivered.push(Number(seq));
      results.push(answer === 'delivered' ? { type: 'delivered' } : { type: 'rejected', reason: 'poison' });
    }
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A dispatcher with a scripted sink, and what the feed has in hand for it. */
export class Bench {
  readonly inHand = new InHand(() => undefined);
  readonly stopping = new AbortController();
  readonly aborted = new AbortController();
  interrupted = false;
  /** What was asked for by the dispatcher: so many delivered. */
  readonly asked: number[] = [];
  readonly kept: number[] = [];
  readonly sink: ScriptedSink;
  readonly dispatcher: Dispatcher;

  constructor(
    answer: (event: LoggedEvent) => Answer | Promise<Answer>,
    more: Partial<DispatcherOptions> = {},
  ) {
    this.sink = new ScriptedSink(answer);
    this.dispatcher = new Dispatcher({
      sink: this.sink,
      logger: silentLogger,
      valid: () => true,
      limit: { events: 1_000, bytes: 4 * 1_024 * 1_024 },
      onRejected: async ({ event }) => {
        this.kept.push(Number(event.seq));
      },
      ...more,
    });
  }

  offer(...entities: readonly (string | null)[]): this {
    for (const entity of entities) {
      this.inHand.offer(loggedEvent(this.inHand.offered + 1, { entity }), this.inHand.offered);
    }
    return this;
  }

  async step(): Promise<'done' | 'none' | 'given-up'> {
    return await this.dispatcher.step(this.inHand, {
      stopping: this.stopping.signal,
      aborted: this.aborted.signal,
      interrupted: () => this.interrupted,
      checkpointAt: (passed) => {
        this.asked.push(passed);
        return { ...fromNothing, floorSeq: BigInt(passed) };
      },
    });
  }

  async wait(ms?: number): Promise<void> {
    await this.dispatcher.wait(this.inHand, {
      ...(ms === undefined ? {} : { ms }),
      stopping: this.stopping.signal,
    });
  }

  /** Until everything that was offered is delivered or kept. */
  async drain(): Promise<void> {
    while (this.inHand.passed < this.inHand.offered) if ((await this.step()) === 'none') await this.wait();
  }
}
