import type { Duplex } from 'node:stream';
import { BackendFramer } from './backend-framer.ts';
import type { ByteReader } from './pgoutput/reader.ts';
import { readErrorResponse } from './server-error.ts';

/** What a {@link CopyBoth} tells its owner. All calls are synchronous, from the socket's own events. */
export interface CopyBothReceiver {
  /** One CopyData message; the reader stands at its content. */
  data(content: ByteReader): void;
  /** All messages that were complete in a chunk of so many bytes have been handed over. */
  chunkEnded(bytes: number): void;
  /** Nothing more comes. Called once at most, and not after {@link CopyBoth.stop}. */
  ended(cause: Error): void;
}

/**
 * The copy-both mode of one connection: from START_REPLICATION on, the socket is read and written here
 * and no longer by the `pg` client that opened and authenticated it.
 *
 * Source: PostgreSQL manual, "Streaming Replication Protocol" and "Message Flow", "COPY Operations".
 */
export class CopyBoth {
  readonly #socket: Duplex;
  readonly #receiver: CopyBothReceiver;
  readonly #framer = new BackendFramer();
  /** Settles what {@link start} waits for; undefined afterwards. */
  #answer: ((cause?: Error) => void) | undefined;
  #over = false;

  private constructor(socket: Duplex, receiver: CopyBothReceiver) {
    this.#socket = socket;
    this.#receiver = receiver;
  }

  /**
   * Sends the command and resolves when the server has entered copy-both mode.
   * @param init `socket`: of a connected, idle client
   * @throws what the server answered (ServerError), or the socket's error
   */
  static async start(init: {
    readonly socket: Duplex;
    readonly command: string;
    readonly receiver: CopyBothReceiver;
  }): Promise<CopyBoth> {
    const copy = new CopyBoth(init.socket, init.receiver);
    // The client is idle, so its parser holds no half message that would be lost here.
    init.socket.removeAllListeners('data');
    init.socket.on('data', copy.#onData);
    init.socket.once('error', copy.#onError);
    init.socket.once('close', copy.#onClose);
    await new Promise<void>((resolve, reject) => {
      copy.#answer = (cause) => {
        if (cause === undefined) resolve();
        else reject(cause);
      };
      init.socket.write(message(0x51, Buffer.from(`${init.command}\0`))); // Q
    });
    return copy;
  }

  /** Sends one CopyData message. Nothing happens once the stream is over. */
  send(content: Buffer): void {
    if (!this.#over && this.#socket.writable) this.#socket.write(message(0x64, content)); // d
  }

  /** Stops reading: the server is held back by TCP. Its questions are then not seen, and still answered by the caller's timer. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** From here on the receiver is told nothing; what still comes is read and thrown away, so that the socket can close. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.off('data', this.#onData);
    this.#socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#framer.push(chunk, this.#visit);
      if (!this.#over) this.#receiver.chunkEnded(chunk.length);
    } catch (cause) {
      this.#end(cause);
    }
  };

  readonly #visit = (kind: number, payload: ByteReader): void => {
    if (this.#over) return;
    switch (kind) {
      case 0x64: // d CopyData
        this.#receiver.data(payload);
        break;
      case 0x57: // W CopyBothResponse
        this.#answered();
        break;
      case 0x45: // E ErrorResponse
        this.#end(readErrorResponse(payload));
        break;
      case 0x63: // c CopyDone
      case 0x43: // C CommandComplete: the server is shutting down
        this.#end(new Error('the server ended the stream'));
        break;
      default:
        // Notices and parameter changes may come at any time and concern nobody here.
        break;
    }
  };

  readonly #onError = (cause: Error): void => {
    this.#end(cause);
  };

  readonly #onClose = (): void => {
    this.#end(new Error('the connection was closed'));
  };

  #end(reason: unknown): void {
    if (this.#over) return;
    const cause = reason instanceof Error ? reason : new Error(String(reason));
    this.stop();
    if (this.#answer === undefined) this.#receiver.ended(cause);
    else this.#answered(cause);
  }

  #answered(cause?: Error): void {
    this.#answer?.(cause);
    this.#answer = undefined;
  }
}

/** A message of the frontend: kind, length, content. */
function message(kind: number, content: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(content.length + 5);
  frame[0] = kind;
  frame.writeInt32BE(content.length + 4, 1);
  content.copy(frame, 5);
  return frame;
}
