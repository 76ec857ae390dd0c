import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { write } from './ledger.suite.ts';

export interface SteadyWritersOptions {
  /** A connection of its own for each writer, which ends it. */
  readonly connect: () => Promise<pg.Client>;
  /** Whether a writer that is cut off connects again; otherwise {@link SteadyWriters.stop} throws. */
  readonly again: boolean;
}

/** Applications that write into the ledger without a pause, and are counted. */
export class SteadyWriters {
  readonly #options: SteadyWritersOptions;
  #over = new AbortController();
  #writing: Promise<unknown> = Promise.resolve();
  #written = 0;

  constructor(options: SteadyWritersOptions) {
    this.#options = options;
  }

  start(count: number): void {
    this.#over = new AbortController();
    this.#writing = Promise.all(Array.from({ length: count }, async () => await this.#write()));
    // Whoever stops them is told; a test that has failed by then does not.
    this.#writing.catch(() => undefined);
  }

  /** @throws what a writer failed with */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#writing;
  }

  /** Resolves when so many transactions more have been acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.#written + count;
    await eventually(
      async () => this.#written,
      (written) => written >= wanted,
    );
  }

  async #write(): Promise<void> {
    const { connect, again } = this.#options;
    while (!this.#over.signal.aborted) {
      let client: pg.Client | undefined;
      try {
        client = await connect();
        while (!this.#over.signal.aborted) {
          await write(client, { events: 2 });
          this.#written += 1;
          // A load, not a flood: the test is to say something of order, not of throughput.
          await sleep(2);
        }
      } catch (error) {
        if (!again) throw error;
        await sleep(20);
      } finally {
        await client?.end().catch(() => undefined);
      }
    }
  }
}
