import type { Socket } from 'node:net';
import type { LaneFaults } from './lane-faults.ts';
import { resetSocket } from './reset-socket.ts';

/** What waits to be handed on. `end` is a FIN, `reset` a RST; both keep their place behind the bytes. */
type Entry = { readonly dueAt: number } & (
  | { readonly kind: 'bytes'; readonly chunk: Buffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' }
);

export interface LaneOptions {
  readonly from: Socket;
  readonly to: Socket;
  readonly faults: LaneFaults;
  /** Bytes that may wait here; then `from` is read no further until some have gone. */
  readonly maxBufferedBytes: number;
  /** From 0 up to 1, for the jitter. */
  readonly random: () => number;
  /** Called when `faults.dropAfter` is used up and its last byte written: the connection must be cut. */
  readonly onUsedUp: (receiver: Socket) => void;
  /** Called when something was counted. */
  readonly onChange: () => void;
}

/** One direction of one connection: reads `from`, does what the faults say, writes `to`. First in, first out. */
export class Lane {
  readonly #options: LaneOptions;
  readonly #waiting: Entry[] = [];
  #buffered = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The receiver's buffer is full: nothing is written before it says `drain`. */
  #full = false;
  /** The last byte that may pass is on its way; nothing follows it. */
  #usedUp = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    const { from, to } = options;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => this.#append({ kind: 'end', dueAt: this.#dueAt() }));
    from.on('close', (failed: boolean) => {
      // After a FIN each way there is nothing to tell; anything else is a reset for the other side.
      if (!failed && from.readableEnded && from.writableFinished) return;
      // What a full receiver had not taken is lost with the sender, and the RST does not wait for it.
      if (this.#full) this.#forget();
      this.#append({ kind: 'reset', dueAt: this.#dueAt() });
    });
    to.on('drain', () => {
      this.#full = false;
      this.update();
    });
    to.on('close', () => this.#forget());
    this.update();
  }

  /** Does what is possible now; called whenever the faults have changed. */
  update(): void {
    this.#pump();
    const { from, faults, maxBufferedBytes } = this.#options;
    const reads = faults.mode === 'swallow' || (faults.mode === 'pass' && this.#buffered < maxBufferedBytes);
    if (reads) from.resume();
    else from.pause();
  }

  #take(chunk: Buffer): void {
    const { faults, onChange } = this.#options;
    faults.read += chunk.length;
    if (faults.mode === 'swallow') faults.swallowed += chunk.length;
    else this.#append({ kind: 'bytes', chunk, dueAt: this.#dueAt() });
    onChange();
  }

  #append(entry: Entry): void {
    // With the receiver gone there is nobody to hand on to; the other lane tells the sender.
    if (this.#options.to.destroyed) return;
    if (entry.kind === 'bytes') this.#buffered += entry.chunk.length;
    this.#waiting.push(entry);
    this.update();
  }

  /** Due before what came earlier, it still waits behind it: a delay changes times, not the order. */
  #dueAt(): number {
    const { faults, random } = this.#options;
    const delay = faults.delay === undefined ? 0 : faults.delay.ms + random() * faults.delay.jitterMs;
    return performance.now() + delay;
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const { faults } = this.#options;
    while (faults.mode === 'pass' && !this.#usedUp) {
      const entry = this.#waiting[0];
      if (entry === undefined || (this.#full && entry.kind !== 'reset')) return;
      const early = faults.delay === undefined ? 0 : entry.dueAt - performance.now();
      if (early > 0) {
        this.#timer = setTimeout(() => this.update(), Math.ceil(early));
        return;
      }
      this.#waiting.shift();
      this.#handOn(entry);
    }
  }

  #handOn(entry: Entry): void {
    const { to } = this.#options;
    switch (entry.kind) {
      case 'bytes':
        this.#buffered -= entry.chunk.length;
        this.#write(entry.chunk);
        break;
      case 'end':
        to.end();
        break;
      case 'reset':
        resetSocket(to);
        break;
    }
  }

  #write(chunk: Buffer): void {
    const { faults, to, onUsedUp, onChange } = this.#options;
    const left = faults.dropAfter;
    const cuts = left !== undefined && chunk.length >= left;
    const part = cuts ? chunk.subarray(0, left) : chunk;
    if (left !== undefined) faults.dropAfter = cuts ? undefined : left - part.length;
    this.#usedUp = cuts;
    const written = (error?: Error | null): void => {
      if (error === undefined || error === null) faults.passed += part.length;
      if (cuts) onUsedUp(to);
      onChange();
    };
    if (!to.write(part, written)) this.#full = true;
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#buffered = 0;
  }
}
