import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { verifyWebhook } from '@event-runtime/outbox';

/** Part of the path of every URL of the receiver; tells its endpoints from all others. */
export const echoPath = '/event-runtime-dev/';

/** A receiving endpoint for each tenant, which verifies signatures as a customer should. */
export class EchoReceiver implements AsyncDisposable {
  readonly #server: Server;
  readonly #secrets = new Map<string, string>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on 127.0.0.1, on a free port. */
  static async start(): Promise<EchoReceiver> {
    const server = createServer();
    const receiver = new EchoReceiver(server);
    server.on('request', (request, response) => {
      receiver.#answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return receiver;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The URL of a tenant's endpoint. */
  urlFor(tenantId: string): string {
    return `${this.origin}${echoPath}${encodeURIComponent(tenantId)}`;
  }

  /** From here on the tenant's requests are verified with this secret. */
  expect(tenantId: string, secret: string): void {
    this.#secrets.set(`${echoPath}${encodeURIComponent(tenantId)}`, secret);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** 200 when the signature holds, 401 when it does not: that shows as a retry. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const secret = this.#secrets.get(request.url ?? '');
    try {
      if (secret === undefined) throw new TypeError('no such tenant');
      verifyWebhook({ secrets: [secret], headers: request.headers, body: Buffer.concat(chunks) });
      response.writeHead(200).end();
    } catch {
      response.writeHead(401).end();
    }
  }
}
