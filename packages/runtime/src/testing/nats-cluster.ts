import { setTimeout as sleep } from 'node:timers/promises';
import { runtimeError } from '../errors/codes.ts';
import { freePort } from '../internal/free-port.ts';
import { NatsServer } from './nats-server.ts';

export interface NatsClusterOptions {
  /** Path of the nats-server program, 2.12 or newer. */
  readonly program: string;
  /** How many servers. Default 3. */
  readonly size?: number;
  /**
   * Where one server reaches another: the port that it is given, or that of a proxy before it. Default: as it is.
   * Servers are numbered from 0.
   */
  readonly route?: (link: {
    readonly from: number;
    readonly to: number;
    readonly port: number;
  }) => Promise<number>;
}

/** As much of a server's `/jsz` as is of use here. */
interface JetStreamState {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size?: number };
  readonly account_details?: ReadonlyArray<{
    readonly stream_detail?: ReadonlyArray<{
      readonly name: string;
      readonly cluster?: { readonly leader?: string };
    }>;
  }>;
}

/** Elections of a busy machine may take several rounds of some seconds each. */
const patienceMs = 120_000;

/** Several nats-servers on this machine that are one JetStream cluster. They die with this process, like {@link NatsServer}. */
export class NatsCluster implements AsyncDisposable {
  readonly servers: readonly NatsServer[];

  private constructor(servers: readonly NatsServer[]) {
    this.servers = servers;
  }

  /** Resolves when the servers have found each other. @throws ER5005 they did not start, or did not within 120 s */
  static async start(options: NatsClusterOptions): Promise<NatsCluster> {
    const { program, size = 3, route = async ({ port }) => port } = options;
    const ports: number[] = [];
    for (let index = 0; index < size; index += 1) ports.push(await freePort());
    const starting = ports.map(async (own, from) => {
      const others = ports.map((port, to) => ({ from, to, port })).filter(({ to }) => to !== from);
      const routes = await Promise.all(others.map(async (link) => await route(link)));
      const configuration = [
        `server_name: n${from}`,
        'cluster {',
        '  name: test',
        `  listen: 127.0.0.1:${own}`,
        '  no_advertise: true',
        // Servers tell each other where a third one is, and would go there past its proxy: nobody is there.
        ...(options.route === undefined ? [] : ['  advertise: "127.0.0.1:1"']),
        `  routes: [${routes.map((port) => `nats://127.0.0.1:${port}`).join(', ')}]`,
        '}',
      ].join('\n');
      return await NatsServer.start({ program, configuration });
    });
    const started = await Promise.allSettled(starting);
    const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const cluster = new NatsCluster(servers);
    try {
      for (const one of started) if (one.status === 'rejected') throw one.reason;
      await cluster.#until(
        ({ meta_cluster: meta }) => meta?.leader !== undefined && meta.cluster_size === size,
      );
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** For a client: each server's URL. */
  get urls(): string[] {
    return this.servers.map(({ url }) => url);
  }

  /**
   * Which server leads a stream, as one of the others or itself tells; waits for one.
   *
   * @param options `but`: neither this one, nor what it says
   * @throws ER5005 there is none for 120 s
   */
  async leaderOf(stream: string, options: { readonly but?: number } = {}): Promise<number> {
    let leader = -1;
    const leads = (state: JetStreamState): boolean => {
      const streams = state.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
      const name = streams.find((one) => one.name === stream)?.cluster?.leader ?? '';
      leader = name === '' ? -1 : Number(name.slice(1));
      return leader >= 0 && leader !== options.but;
    };
    await this.#until(leads, options.but);
    return leader;
  }

  /**
   * Resolves when every server says that it is healthy: it has found the others, and its streams are as far as theirs.
   *
   * @throws ER5005 one does not for 120 s
   */
  async healthy(): Promise<void> {
    const until = performance.now() + patienceMs;
    while (!(await Promise.all(this.servers.map(isHealthy))).every(Boolean)) {
      if (performance.now() > until) {
        throw runtimeError('ER5005', { detail: `A server is not healthy for ${patienceMs} ms.` });
      }
      await sleep(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map(async (server) => await server[Symbol.asyncDispose]()));
  }

  /** Asks every server, again and again, until one says what is wanted. */
  async #until(wanted: (state: JetStreamState) => boolean, but?: number): Promise<void> {
    const until = performance.now() + patienceMs;
    while (performance.now() < until) {
      for (const [index, server] of this.servers.entries()) {
        if (index === but || !server.running) continue;
        const state = await ask(server);
        if (state !== undefined && wanted(state)) return;
      }
      await sleep(25);
    }
    throw runtimeError('ER5005', { detail: `The cluster did not agree within ${patienceMs} ms.` });
  }
}

async function isHealthy(server: NatsServer): Promise<boolean> {
  try {
    const response = await fetch(`${server.monitorUrl}/healthz`, { signal: AbortSignal.timeout(1_000) });
    return response.ok;
  } catch {
    return false;
  }
}

async function ask(server: NatsServer): Promise<JetStreamState | undefined> {
  try {
    const response = await fetch(`${server.monitorUrl}/jsz?streams=true`, {
      signal: AbortSignal.timeout(500),
    });
    return (await response.json()) as JetStreamState;
  } catch {
    // It is down, or stopped.
    return undefined;
  }
}
