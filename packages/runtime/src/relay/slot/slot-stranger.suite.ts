import { setTimeout as sleep } from 'node:timers/promises';
import { openReplicationStream } from '../../replication/replication-stream.ts';
import { publicationName } from '../preflight.ts';

/** A program that is not ours and reads the slot: it comes back as soon as it was ended, for as long as it is wanted. */
export class Stranger implements AsyncDisposable {
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  /** How often it has begun to read. */
  reads = 0;

  constructor(options: {
    readonly connectionString: string;
    readonly slot: string;
    readonly applicationName: string;
    /** Whether it comes back. Default true. */
    readonly again?: boolean;
  }) {
    this.#running = this.#run(options);
  }

  async #run({ again = true, ...options }: ConstructorParameters<typeof Stranger>[0]): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await using stream = await openReplicationStream({
          ...options,
          publication: publicationName,
          signal,
        });
        this.reads += 1;
        for await (const messages of stream) void messages;
      } catch {
        // In use, or ended.
      }
      if (!again && this.reads > 0) return;
      await sleep(2);
    }
  }

  /** Reads no more, and has gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }
}
