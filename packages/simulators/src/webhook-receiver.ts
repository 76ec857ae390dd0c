import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** One request as it arrived. Times are milliseconds since 1970 with a fraction, by this process's clock. */
export interface ReceivedRequest {
  /** 0 for the first request whose body was complete. */
  readonly order: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** The header `webhook-id`, or null. */
  readonly id: string | null;
  /** Names in lower case; the values as received. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body, in hexadecimal. */
  readonly sha256: string;
  /** Length of the body in bytes. */
  readonly bytes: number;
  /** The body, where the receiver keeps bodies; otherwise null. */
  readonly body: Buffer | null;
  /** When the headers were complete. */
  readonly arrivedAt: number;
  /** When the body was complete. */
  readonly completedAt: number;
  /** When the answer was handed to the socket; null as long as there is none (and for ever after a hang). */
  readonly answeredAt: number | null;
  /** The status that was answered, or null. */
  readonly status: number | null;
}

/** What the receiver does with one request. */
export type Answer =
  /** An ordinary answer, after `delayMs` (default 0). */
  | {
      readonly type: 'status';
      readonly status: number;
      readonly delayMs?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  /** The connection is reset and nothing is answered. */
  | { readonly type: 'reset' }
  /** Nothing is answered; the connection stays open until the client gives up or the receiver is closed. */
  | { readonly type: 'hang' }
  /** The status at once, then one byte each `intervalMs`, without end. */
  | { readonly type: 'slow-body'; readonly status: number; readonly intervalMs: number }
  /** The status at once, then bytes as fast as the client takes them, without end. */
  | { readonly type: 'huge-body'; readonly status: number }
  | { readonly type: 'redirect'; readonly status: 301 | 302 | 303 | 307 | 308; readonly location: string };

/** Decides the answer to one request; may wait, so that a test can hold an answer back. */
export type AnswerScript = (request: ReceivedRequest) => Answer | Promise<Answer>;

export interface WebhookReceiverOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default: a free port. */
  readonly port?: number;
  /** Keep each body in memory. Default false: only its length and hash. */
  readonly keepBodies?: boolean;
  /** Default: status 200 to everything. Used when no answer set by {@link WebhookReceiver.answerNext} is left. */
  readonly answer?: AnswerScript;
  /** Called with each request when its body is complete, before it is answered. */
  readonly onRequest?: (request: ReceivedRequest) => void;
}

const ok: Answer = { type: 'status', status: 200 };
const chunk = Buffer.alloc(64 * 1024, 0x78);

/** An HTTP server that takes webhooks, writes down what came, and misbehaves on demand. */
export class WebhookReceiver implements AsyncDisposable {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #requests: ReceivedRequest[] = [];
  readonly #next: Answer[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #options: WebhookReceiverOptions;
  #script: AnswerScript;

  private constructor(init: {
    server: Server;
    sockets: Set<Socket>;
    port: number;
    options: WebhookReceiverOptions;
  }) {
    const host = init.options.host ?? '127.0.0.1';
    this.port = init.port;
    this.url = `http://${host.includes(':') ? `[${host}]` : host}:${init.port}/`;
    this.#server = init.server;
    this.#sockets = init.sockets;
    this.#options = init.options;
    this.#script = init.options.answer ?? (() => ok);
    this.#server.on('request', (request, response) => {
      this.#take(request, response).catch(() => request.socket.destroy());
    });
  }

  static async start(options: WebhookReceiverOptions = {}): Promise<WebhookReceiver> {
    const server = createServer({ maxHeaderSize: 64 * 1024 });
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new TypeError('not a TCP server');
    return new WebhookReceiver({ server, sockets, port: address.port, options });
  }

  /** What arrived, in the order in which the bodies were complete. */
  get requests(): readonly ReceivedRequest[] {
    return this.#requests;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Answers of the next requests, in order; after them the script decides again. */
  answerNext(...answers: readonly Answer[]): void {
    this.#next.push(...answers);
  }

  /** Replaces the script. */
  answerWith(script: AnswerScript): void {
    this.#script = script;
  }

  /** Resolves when the condition holds; it is asked again after each request and each answer. */
  async until(
    condition: (requests: readonly ReceivedRequest[]) => boolean,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { signal } = options;
    while (!condition(this.#requests)) {
      signal?.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        signal?.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** Closes the server and every connection. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const arrivedAt = now();
    const hash = createHash('sha256');
    const kept: Buffer[] = [];
    let bytes = 0;
    for await (const part of request as AsyncIterable<Buffer>) {
      hash.update(part);
      bytes += part.length;
      if (this.#options.keepBodies === true) kept.push(part);
    }
    const headers = flatten(request);
    const received: ReceivedRequest = {
      order: this.#requests.length,
      method: request.method ?? '',
      path: request.url ?? '',
      id: headers['webhook-id'] ?? null,
      headers,
      sha256: hash.digest('hex'),
      bytes,
      body: this.#options.keepBodies === true ? Buffer.concat(kept) : null,
      arrivedAt,
      completedAt: now(),
      answeredAt: null,
      status: null,
    };
    this.#requests.push(received);
    this.#options.onRequest?.(received);
    this.#notify();
    const status = await give(this.#next.shift() ?? (await this.#script(received)), response);
    this.#requests[received.order] = { ...received, status, answeredAt: status === null ? null : now() };
    this.#notify();
  }

  #notify(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Carries the answer out. Resolves with the status once it is handed to the socket; null if there is none. */
async function give(answer: Answer, response: ServerResponse): Promise<number | null> {
  switch (answer.type) {
    case 'reset':
      response.socket?.resetAndDestroy();
      return null;
    case 'hang':
      return null;
    case 'status':
      if (answer.delayMs !== undefined) await delay(answer.delayMs);
      response.writeHead(answer.status, { ...answer.headers });
      response.end(answer.body);
      break;
    case 'slow-body':
      response.writeHead(answer.status, { 'content-type': 'text/plain' });
      trickle(response, answer.intervalMs);
      break;
    case 'huge-body':
      response.writeHead(answer.status, { 'content-type': 'text/plain' });
      flood(response);
      break;
    case 'redirect':
      response.writeHead(answer.status, { location: answer.location });
      response.end();
      break;
  }
  return answer.status;
}

function trickle(response: ServerResponse, intervalMs: number): void {
  const timer = setInterval(() => response.write('x'), intervalMs);
  response.write('x');
  response.once('close', () => clearInterval(timer));
}

function flood(response: ServerResponse): void {
  const pour = (): void => {
    while (!response.destroyed && response.write(chunk)) {
      // until the socket's buffer is full
    }
  };
  response.on('drain', pour);
  pour();
}

function flatten(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

async function delay(milliseconds: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
