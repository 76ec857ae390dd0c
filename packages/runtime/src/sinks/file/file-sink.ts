import fs, { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runtimeError } from '../../errors/codes.ts';
import { isTurnedAway } from '../../log/checkpoint.ts';
import type { OutboxEvent } from '../../log/outbox-event.ts';
import type { DeliverOptions, DeliveryResult, Sink, SinkBatch, SinkFeatures } from '../sink.ts';
import { eventLine } from './event-line.ts';
import { cutTornTail } from './torn-tail.ts';

export interface FileSinkOptions {
  /** The sink's name: the key of its checkpoint. */
  readonly name: string;
  /** A regular file; made with mode 0600 if it is missing. Its directory must exist. One sink per file. */
  readonly path: string;
  readonly signal?: AbortSignal;
  /** As for a batch: asked right before a torn line is cut off. */
  readonly valid?: DeliverOptions['valid'];
}

/**
 * Appends events to a file, one line each: CloudEvents' JSON format, the payload in it byte for byte
 * (see `readFileSink`).
 *
 * An event is delivered when its line is on the disk (fdatasync). A batch that cannot be written whole leaves
 * nothing behind: the file is cut back to where it began. At least once: a batch that was written right before
 * a crash is written again. The file grows for ever; it may be truncated from outside while no batch is written.
 */
export class FileSink implements Sink {
  readonly name: string;
  readonly path: string;
  static readonly features: SinkFeatures = { order: true, dedupe: false, ownCheckpoint: false };
  readonly features: SinkFeatures = FileSink.features;
  /** Bytes of a half-written last line, left by a crash, that were cut off when the file was opened. */
  readonly tornBytes: number;
  readonly #file: FileHandle;
  /** Where a batch began of which something may still stand in the file. */
  #repairTo: number | undefined;
  #delivering: Promise<unknown> = Promise.resolve();
  #disposed = false;

  private constructor(options: FileSinkOptions, opened: { file: FileHandle; tornBytes: number }) {
    this.name = options.name;
    this.path = options.path;
    this.tornBytes = opened.tornBytes;
    this.#file = opened.file;
  }

  /**
   * Opens the file, or makes it.
   *
   * @throws EventRuntimeError ER4011 when that fails, and for what is no regular file; ER1207; the signal's reason
   */
  static async open(options: FileSinkOptions): Promise<FileSink> {
    options.signal?.throwIfAborted();
    try {
      const file = await openToAppend(options.path);
      try {
        const tornBytes = await cutTornTail(file, () => checkLease(options, options));
        await syncDirectory(dirname(options.path));
        options.signal?.throwIfAborted();
        return new FileSink(options, { file, tornBytes });
      } catch (error) {
        await file.close();
        throw error;
      }
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (isTurnedAway(cause)) throw cause;
      throw runtimeError('ER4011', { detail: options.path, cause, ...remedyFor(cause, options.path) });
    }
  }

  /**
   * @throws EventRuntimeError ER4011 when the batch could not be written: nothing of it stays; ER1207 the relay's
   *   lease is lost: from then on the file is not touched; the signal's reason when it is aborted before the batch is begun, which is then finished
   */
  async deliver(batch: SinkBatch, options: DeliverOptions): Promise<readonly DeliveryResult[]> {
    if (this.#disposed) throw new TypeError('the file sink is disposed');
    options.signal.throwIfAborted();
    const lines = batch.events.map(({ event }) => lineOf(event));
    const bytes = Buffer.concat(lines.filter((line) => Buffer.isBuffer(line)));
    const appending = this.#append(bytes, () => checkLease(this, options));
    this.#delivering = appending.catch(() => undefined);
    await appending;
    return lines.map((line) => (Buffer.isBuffer(line) ? { type: 'delivered' } : line));
  }

  /** Waits for the batch that is being written, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#delivering;
    await this.#file.close();
  }

  async #append(bytes: Buffer, requireLease: () => void): Promise<void> {
    if (bytes.length === 0) return;
    try {
      this.#repairTo = await this.#repaired(requireLease);
      // One call, as long as the system takes all of it; in this turn: what waits for a thread of the pool while the
      // process is stopped would be written behind another's lines.
      for (let written = 0; written < bytes.length; ) {
        requireLease();
        written += fs.writeSync(this.#file.fd, bytes, written);
      }
      await this.#file.datasync();
      this.#repairTo = undefined;
    } catch (cause) {
      if (isTurnedAway(cause)) throw cause;
      // Where this fails too, the next batch begins with it.
      await this.#repaired(requireLease).catch(() => undefined);
      throw runtimeError('ER4011', { detail: this.path, cause });
    }
  }

  /** Cuts off what is left of a batch that failed. @returns the length of the file */
  async #repaired(requireLease: () => void): Promise<number> {
    const { size } = await this.#file.stat();
    const end = Math.min(this.#repairTo ?? size, size);
    if (end < size) {
      requireLease();
      fs.ftruncateSync(this.#file.fd, end);
    }
    this.#repairTo = undefined;
    return end;
  }
}

/** What to do where that is known better than for the code as a whole. */
function remedyFor(cause: unknown, path: string): { readonly remedy?: string } {
  if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'ENOENT') return {};
  return {
    remedy: `Its folder is not there: mkdir -p '${dirname(path)}', or correct the path; the batch is handed over again.`,
  };
}

/** What stands behind our own lines may be another's. */
function checkLease(
  sink: { readonly name: string; readonly path: string },
  { valid }: { readonly valid?: DeliverOptions['valid'] },
): void {
  if (valid?.() === false) throw runtimeError('ER1207', { detail: `Sink ${sink.name}, ${sink.path}.` });
}

/** The line; or, for an event that cannot be one, its rejection: no later event waits for it. */
function lineOf(event: OutboxEvent): Buffer | DeliveryResult {
  try {
    return eventLine(event);
  } catch (error) {
    const reason = 'the event cannot be written as a line of JSON';
    return { type: 'rejected', reason, ...(error instanceof Error ? { error } : {}) };
  }
}

async function openToAppend(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
  const file = await open(path, flags, 0o600);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new TypeError('not a regular file');
}

/** Makes the name of a new file durable; fdatasync of the file does not. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
