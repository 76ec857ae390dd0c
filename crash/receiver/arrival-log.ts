import { closeSync, ftruncateSync, openSync, readSync, statSync } from 'node:fs';
import type { Arrival } from '../verdict/verdict.ts';

const lineFeed = 0x0a;

/** An arrival as a line of the log, with its `\n`. */
export function arrivalLine(arrival: Arrival): string {
  return `${JSON.stringify(arrival)}\n`;
}

/** Opens a log to append to it. A line that a crash left half-written was never answered: it is cut off. */
export function openArrivalLog(path: string): number {
  const file = openSync(path, 'a+');
  const { size } = statSync(path);
  const chunk = Buffer.alloc(64 * 1_024);
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - chunk.length);
    const read = readSync(file, chunk, 0, end - from, from);
    const last = chunk.subarray(0, read).lastIndexOf(lineFeed);
    if (last !== -1 || from === 0) {
      ftruncateSync(file, last === -1 ? 0 : from + last + 1);
      break;
    }
    end = from;
  }
  return file;
}

/** Reads a log that another process appends to, complete lines only. */
export class ArrivalLogReader implements Disposable {
  readonly #path: string;
  readonly arrivals: Arrival[] = [];
  #file: number | undefined;
  #offset = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes in what was appended since. @returns the new arrivals */
  read(): readonly Arrival[] {
    const fresh: Arrival[] = [];
    this.#file ??= openIfThere(this.#path);
    if (this.#file === undefined) return fresh;
    // A half-written line may have been cut off meanwhile: only complete lines are passed over.
    const chunk = Buffer.alloc(256 * 1_024);
    for (;;) {
      const from = this.#offset + this.#rest.length;
      const read = readSync(this.#file, chunk, 0, chunk.length, from);
      if (read === 0) break;
      const text = Buffer.concat([this.#rest, chunk.subarray(0, read)]);
      const end = text.lastIndexOf(lineFeed) + 1;
      for (const line of text.toString('utf8', 0, end).split('\n')) {
        if (line !== '') fresh.push(JSON.parse(line) as Arrival);
      }
      this.#offset += end;
      this.#rest = text.subarray(end);
    }
    this.#rest = Buffer.alloc(0);
    for (const arrival of fresh) this.arrivals.push(arrival);
    return fresh;
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}
