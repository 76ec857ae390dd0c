/**
 * What was read and not yet taken: between a socket that pushes and one consumer that pulls. Bounded in
 * bytes by its owner, who stops reading at {@link full} and goes on at {@link hasRoom}; it does not
 * refuse what comes nevertheless.
 */
export class BatchQueue<T> implements AsyncIterator<T, undefined> {
  readonly #limitBytes: number;
  readonly #onRoom: () => void;
  #batches: { readonly batch: T; readonly bytes: number }[] = [];
  #bytes = 0;
  #waiting: { resolve(result: IteratorResult<T, undefined>): void; reject(cause: unknown): void } | undefined;
  #end: { readonly cause: unknown; readonly failed: boolean } | undefined;

  /** @param onRoom called when a take brings the bytes below half of the limit */
  constructor(limitBytes: number, onRoom: () => void) {
    this.#limitBytes = limitBytes;
    this.#onRoom = onRoom;
  }

  /** What the batches that wait keep alive. */
  get bytes(): number {
    return this.#bytes;
  }

  get full(): boolean {
    return this.#bytes >= this.#limitBytes;
  }

  get hasRoom(): boolean {
    return this.#bytes * 2 <= this.#limitBytes;
  }

  /** Adds a batch that keeps so many bytes alive; ignored after the end. */
  push(batch: T, bytes: number): void {
    if (this.#end !== undefined) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: batch });
      return;
    }
    this.#batches.push({ batch, bytes });
    this.#bytes += bytes;
  }

  /** No more: {@link next} is done at once, and what was not taken is dropped. The first end counts. */
  finish(): void {
    this.#finish({ cause: undefined, failed: false });
  }

  /** As {@link finish}, but {@link next} throws the cause. */
  fail(cause: unknown): void {
    this.#finish({ cause, failed: true });
  }

  /** @throws what {@link fail} was given; TypeError when another call still waits (one consumer only) */
  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#end?.failed === true) throw this.#end.cause;
    if (this.#end !== undefined) return { done: true, value: undefined };
    const first = this.#batches.shift();
    if (first !== undefined) {
      this.#bytes -= first.bytes;
      if (this.hasRoom) this.#onRoom();
      return { done: false, value: first.batch };
    }
    if (this.#waiting !== undefined) throw new TypeError('a stream has one reader');
    return await new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  #finish(end: { readonly cause: unknown; readonly failed: boolean }): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#batches = [];
    this.#bytes = 0;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (end.failed) waiting?.reject(end.cause);
    else waiting?.resolve({ done: true, value: undefined });
  }
}
