import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exposition, type Logger, type RunContext, Service } from '@event-runtime/runtime';
import { serverError } from '../server-error.ts';
import type { Readiness } from './readiness.ts';

/** What the server is asked for. None may throw, and each comes to an end by itself. */
export interface HealthAnswers {
  readiness(): Promise<Readiness>;
  /** In Prometheus's text format. */
  metrics(): Promise<string>;
}

export interface HealthServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Made when the service starts, disposed when it has ended. */
  readonly answers: () => HealthAnswers & AsyncDisposable;
  readonly logger: Logger;
  /** Milliseconds between attempts to get the port. Default 5,000. */
  readonly retryMs?: number;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * `GET /livez`, `/readyz` and `/metrics`. Nothing of the request but its method and path is looked at, and the Host
 * header least of all. A port that cannot be had stops nobody: it is logged, and tried again.
 */
export class HealthServer extends Service {
  readonly #options: HealthServerOptions;
  #address: AddressInfo | undefined;

  constructor(options: HealthServerOptions) {
    super('health');
    this.#options = options;
  }

  /** Where it listens; undefined: not (yet). */
  get address(): AddressInfo | undefined {
    return this.#address;
  }

  protected override async run(context: RunContext): Promise<void> {
    await using answers = this.#options.answers();
    const server = await this.#listen(answers, context);
    if (server === undefined) return;
    const letGo = (): void => server.closeAllConnections();
    context.aborted.addEventListener('abort', letGo, { once: true });
    try {
      context.ready();
      if (!context.stopping.aborted) await once(context.stopping, 'abort');
    } finally {
      const closed = once(server, 'close');
      server.close();
      if (context.aborted.aborted) letGo();
      await closed;
      this.#address = undefined;
      context.aborted.removeEventListener('abort', letGo);
    }
  }

  /** Undefined: it was stopped before it got the port. */
  async #listen(answers: HealthAnswers, context: RunContext): Promise<Server | undefined> {
    const { host, port, logger, retryMs = 5_000 } = this.#options;
    while (!context.stopping.aborted) {
      const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, keepAliveTimeout: 5_000 });
      server.maxConnections = 100;
      server.on('request', (request, response) => {
        void respond(answers, { request, response, stopping: context.stopping });
      });
      try {
        server.listen({ host, port });
        await once(server, 'listening');
        // From here on an error is one of a connection.
        server.on('error', () => undefined);
        this.#address = server.address() as AddressInfo;
        logger.info('health.listening', { host, port: this.#address.port });
        return server;
      } catch (cause) {
        const error = serverError('ER5007', { detail: `It is ${host}, port ${port}.`, cause });
        logger.error('health.unavailable', { error, delayMs: retryMs });
        context.ready();
        await sleep(retryMs, undefined, { signal: context.stopping }).catch(() => undefined);
      }
    }
    return undefined;
  }
}

async function respond(
  answers: HealthAnswers,
  exchange: {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
    readonly stopping: AbortSignal;
  },
): Promise<void> {
  const { request, response, stopping } = exchange;
  response.on('error', () => undefined);
  const { status, type, body } = await answerTo(request, answers);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A connection that is kept for the next request would keep the server.
    ...(stopping.aborted && { connection: 'close' }),
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function answerTo(request: IncomingMessage, answers: HealthAnswers): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'GET or HEAD');
  try {
    switch (request.url?.split('?', 1)[0]) {
      case '/livez':
        return plain(200, 'ok');
      case '/readyz': {
        const readiness = await answers.readiness();
        return {
          status: readiness.ready ? 200 : 503,
          type: 'application/json',
          body: `${JSON.stringify(readiness)}\n`,
        };
      }
      case '/metrics':
        return { status: 200, type: Exposition.contentType, body: await answers.metrics() };
      default:
        return plain(404, 'There are /livez, /readyz and /metrics.');
    }
  } catch {
    // A bug; a probe is no place for its details.
    return plain(500, 'failed');
  }
}

function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
}
