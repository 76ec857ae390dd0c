import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { Webhook } from 'standardwebhooks';
import type { ReceivedEvent, RefusedSignature } from './received-events.ts';

/** One customer's endpoint at the receiver. */
export interface ReceiverEndpoint {
  readonly tenant: string;
  /** `whsec_` and base64. */
  readonly secret: string;
}

export interface ReceiverOptions {
  readonly endpoints: readonly ReceiverEndpoint[];
  /**
   * How many of a hundred events are answered 503 when they come for the first time. Which ones follows
   * from their ids. Default 0.
   */
  readonly refusePercent?: number;
}

/**
 * The customers' side: an HTTP server that verifies each request with the independent library
 * `standardwebhooks` and writes down what came, in the order in which it came. It shares no code with
 * the side that signs and sends.
 *
 * It answers 200, 401 to a signature that does not hold, 404 to an unknown path, and 503 where
 * `refusePercent` asks for it; only what it answers 200 is received.
 */
export class Receiver implements AsyncDisposable {
  readonly received: ReceivedEvent[] = [];
  readonly refusedSignatures: RefusedSignature[] = [];
  readonly #server: Server;
  readonly #verifiers = new Map<string, { readonly tenant: string; readonly webhook: Webhook }>();
  readonly #seen = new Set<string>();
  readonly #refusedOnce = new Set<string>();
  readonly #refusePercent: number;
  #lastAt = 0;
  #origin = '';

  private constructor(options: ReceiverOptions) {
    for (const endpoint of options.endpoints) {
      const webhook = new Webhook(endpoint.secret);
      this.#verifiers.set(pathOf(endpoint.tenant), { tenant: endpoint.tenant, webhook });
    }
    this.#refusePercent = options.refusePercent ?? 0;
    this.#server = createServer((request, response) => {
      this.#answer(request)
        .then((status) => response.writeHead(status).end())
        // The sender went away in the middle of its request: it knows, and there is nobody to answer.
        .catch(() => response.destroy());
    });
    this.#server.keepAliveTimeout = 60_000;
  }

  /** Listens on a free port of 127.0.0.1. */
  static async start(options: ReceiverOptions): Promise<Receiver> {
    const receiver = new Receiver(options);
    await new Promise<void>((resolve, reject) => {
      receiver.#server.once('error', reject);
      receiver.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = receiver.#server.address();
    if (address === null || typeof address === 'string') throw new TypeError('no port');
    receiver.#origin = `http://127.0.0.1:${address.port}`;
    return receiver;
  }

  /** The URL of a tenant's endpoint. */
  urlFor(tenant: string): string {
    return `${this.#origin}${pathOf(tenant)}`;
  }

  /** How many different event ids were received. */
  get distinct(): number {
    return this.#seen.size;
  }

  /** Whether an event was received. */
  has(eventId: string): boolean {
    return this.#seen.has(eventId);
  }

  /** `performance.now()` of the last request, whatever was answered; 0 before the first. */
  get lastAt(): number {
    return this.#lastAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage): Promise<number> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const arrivedAt = performance.now();
    this.#lastAt = arrivedAt;
    const path = request.url ?? '';
    const verifier = this.#verifiers.get(path);
    if (verifier === undefined) return 404;
    const eventId = header(request, 'ce-id');
    try {
      verifier.webhook.verify(body, signatureHeaders(request), { jsonParse: false });
    } catch (cause) {
      this.refusedSignatures.push({
        path,
        eventId,
        reason: cause instanceof Error ? cause.message : 'unknown',
      });
      return 401;
    }
    if (this.#refuses(eventId)) return 503;
    this.#seen.add(eventId);
    this.received.push({
      eventId,
      messageId: header(request, 'webhook-id'),
      tenant: verifier.tenant,
      entityKey: header(request, 'ce-entitykey'),
      eventType: header(request, 'ce-type'),
      sha256: createHash('sha256').update(body).digest('hex'),
      arrivedAt,
    });
    return 200;
  }

  #refuses(eventId: string): boolean {
    if (this.#refusePercent === 0 || this.#seen.has(eventId) || this.#refusedOnce.has(eventId)) return false;
    const hash = createHash('sha256').update(eventId).digest();
    if (hash.readUInt32BE(0) % 100 >= this.#refusePercent) return false;
    this.#refusedOnce.add(eventId);
    return true;
  }
}

function pathOf(tenant: string): string {
  return `/hooks/${encodeURIComponent(tenant)}`;
}

/** One header's value, percent-decoded as the CloudEvents HTTP binding asks; empty when it is missing. */
function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  if (typeof value !== 'string') return '';
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function signatureHeaders(request: IncomingMessage): Record<string, string> {
  const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
  return Object.fromEntries(names.map((name) => [name, String(request.headers[name] ?? '')]));
}
