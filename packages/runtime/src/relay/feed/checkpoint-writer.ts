import { applyRewind, type Checkpoint, type CheckpointOwner, saveCheckpoint } from '../../log/checkpoint.ts';
import { comparePositions } from '../../log/outbox-event.ts';
import type { Sink } from '../../sinks/sink.ts';

export interface CheckpointWriterOptions {
  readonly sink: Pick<Sink, 'name'>;
  readonly owner: CheckpointOwner;
  readonly pool: Parameters<typeof saveCheckpoint>[0];
}

/** Writes a sink's checkpoint, one after another: what is written last is what was known last. */
export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  /** By `performance.now()`: when one was written, or could not be. */
  at = 0;
  #stored: Checkpoint;
  #last: Promise<unknown> = Promise.resolve();
  /** By `performance.now()`: since when one is written that nobody waits for, and why one could not be. */
  #besideSince: number | undefined;
  #failed: { readonly error: unknown } | undefined;

  /** @param stored what is there */
  constructor(options: CheckpointWriterOptions, stored: Checkpoint) {
    this.#options = options;
    this.#stored = stored;
  }

  /** Resolves when nothing is being written, of what was to be written when this was asked for. */
  get settled(): Promise<unknown> {
    return this.#last;
  }

  /** For how many milliseconds {@link beside} has been at work; 0: it is not. */
  get besideForMs(): number {
    return this.#besideSince === undefined ? 0 : performance.now() - this.#besideSince;
  }

  /** @throws what {@link beside} failed for */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  /**
   * Saves while whoever asks goes on; nothing, while that is still being done.
   *
   * @param onFailure {@link check} tells why
   */
  beside(save: () => Promise<void>, onFailure: () => void): void {
    if (this.#besideSince !== undefined) return;
    this.#besideSince = performance.now();
    void save()
      .catch((error: unknown) => {
        this.#failed = { error };
        onFailure();
      })
      .finally(() => {
        this.#besideSince = undefined;
      });
  }

  /** Whether it is what is stored, as far as is known. */
  has(checkpoint: Checkpoint): boolean {
    return same(checkpoint, this.#stored);
  }

  /** The sink has stored it with its own work. */
  note(checkpoint: Checkpoint): void {
    this.#stored = checkpoint;
  }

  /** @returns whether an operator has paused the sink @throws as {@link saveCheckpoint} */
  async write(checkpoint: Checkpoint): Promise<{ readonly paused: boolean }> {
    return await this.#inTurn(async () => {
      const { pool, owner, sink } = this.#options;
      // failpoint: relay.checkpoint.before
      const { paused } = await saveCheckpoint(pool, { sink: sink.name, owner, checkpoint });
      // failpoint: relay.checkpoint.after
      this.#stored = checkpoint;
      this.at = performance.now();
      return { paused };
    });
  }

  /** Makes what an operator asked for the checkpoint. @returns undefined: nobody wants that any more */
  async rewind(): Promise<Checkpoint | undefined> {
    return await this.#inTurn(async () => {
      const { pool, owner, sink } = this.#options;
      const checkpoint = await applyRewind(pool, { sink: sink.name, owner });
      if (checkpoint !== undefined) this.#stored = checkpoint;
      return checkpoint;
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return await turn;
  }
}

export function same(a: Checkpoint, b: Checkpoint): boolean {
  return (
    a.mode === b.mode &&
    a.snapshot === b.snapshot &&
    comparePositions(a.position, b.position) === 0 &&
    a.batch?.to === b.batch?.to &&
    a.batch?.afterSeq === b.batch?.afterSeq &&
    a.adoption?.afterSeq === b.adoption?.afterSeq
  );
}
