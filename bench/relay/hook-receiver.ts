import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { millisecondsSince } from './latency.ts';

/** Where nothing has come for so long, nothing will. */
const patienceMs = 120_000;

/** A customer's endpoint that takes every webhook at once, and knows how long each event was on its way to it. */
export class HookReceiver implements AsyncDisposable {
  readonly url: string;
  readonly #server: Server;
  readonly #seen = new Set<string>();
  readonly #latencies: number[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) =>
      this.#take(request, response),
    );
  }

  static async start(): Promise<HookReceiver> {
    const server = createServer();
    // Longer than any pause of a run.
    server.keepAliveTimeout = 10 * patienceMs;
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new HookReceiver(server);
  }

  /**
   * Resolves when so many events are there.
   *
   * @returns milliseconds from the row's time until each came for the first time, in the order of their coming
   * @throws Error none came for two minutes
   */
  async latencies(events: number): Promise<readonly number[]> {
    let [count, movedAt] = [0, performance.now()];
    while (this.#latencies.length < events) {
      await sleep(20);
      if (this.#latencies.length > count) [count, movedAt] = [this.#latencies.length, performance.now()];
      else if (performance.now() - movedAt > patienceMs) {
        throw new Error(`no webhook came for ${patienceMs / 1_000} s, after ${count} of ${events}`);
      }
    }
    return this.#latencies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await once(this.#server.close(), 'close');
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const id = String(request.headers['ce-id']);
    request.resume().once('end', () => {
      if (!this.#seen.has(id)) this.#latencies.push(millisecondsSince(String(request.headers['ce-time'])));
      this.#seen.add(id);
      response.writeHead(204).end();
    });
  }
}
