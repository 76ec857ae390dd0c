import type { Pool } from 'pg';
import type { CheckpointOwner } from '../../log/checkpoint.ts';
import { type ReplayPart, saveReplayProgress } from './replay-part.ts';

export interface ReplayBookOptions {
  readonly pool: Pool;
  readonly sink: string;
  readonly owner: CheckpointOwner;
  /** Milliseconds between two writes, where nothing else asks for one. */
  readonly saveMs: number;
}

/** How far a part of a replay has got, and what of it is written down. */
export class ReplayBook {
  readonly part: ReplayPart;
  readonly #options: ReplayBookOptions;
  #at: bigint;
  #stored: bigint;
  #delivered = 0;
  #rejected = 0;
  #trouble: string | null = null;
  #savedAt = performance.now();

  constructor(part: ReplayPart, options: ReplayBookOptions) {
    this.part = part;
    this.#options = options;
    this.#at = part.afterSeq;
    this.#stored = part.afterSeq;
  }

  /** Everything up to this `seq` is done with. */
  get at(): bigint {
    return this.#at;
  }

  get due(): boolean {
    return performance.now() - this.#savedAt >= this.#options.saveMs;
  }

  get finished(): boolean {
    return this.#at >= this.part.upToSeq;
  }

  /** Everything up to there is done with. */
  pass(upTo: bigint, of: { readonly delivered: number; readonly rejected: number }): void {
    this.#at = upTo;
    this.#delivered += of.delivered;
    this.#rejected += of.rejected;
  }

  /** Writes why the sink does not take what it is handed, when that is news. @returns see {@link save} @throws ER1207, ER1210 */
  async note(trouble: string): Promise<boolean> {
    if (trouble === this.#trouble && !this.due) return true;
    return await this.save(trouble);
  }

  /** @returns whether it is to go on: nobody has paused or ended it, and it is not finished @throws ER1207, ER1210 */
  async save(trouble: string | null = null): Promise<boolean> {
    const { pool, sink, owner } = this.#options;
    const goesOn = await saveReplayProgress(pool, {
      ...{ part: this.part, sink, owner },
      progress: {
        ...{ afterSeq: this.#at, before: this.#stored, delivered: this.#delivered, rejected: this.#rejected },
        ...{ finished: this.finished, trouble },
      },
    });
    this.#stored = this.#at;
    this.#delivered = 0;
    this.#rejected = 0;
    this.#trouble = trouble;
    this.#savedAt = performance.now();
    return goesOn;
  }
}
