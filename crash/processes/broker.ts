import { setTimeout as sleep } from 'node:timers/promises';
import { limitNatsMessages, NatsCluster, NatsServer } from '@event-runtime/runtime/testing';

/** The stream of the sink into NATS. */
export const stream = 'EVENTS';

/** How often, of a cluster, not only the leader is killed but every server. */
const allEvery = 4;
/** Milliseconds that a server is stopped before it is killed: what it was sent meanwhile dies with it, unread. */
const deafMs = 250;

/** A nats-server, or a cluster of three, that is killed and comes back. */
export class Broker implements AsyncDisposable {
  readonly #servers: readonly NatsServer[];
  readonly #cluster: NatsCluster | undefined;
  #kills = 0;

  private constructor(servers: readonly NatsServer[], cluster: NatsCluster | undefined) {
    this.#servers = servers;
    this.#cluster = cluster;
  }

  /** @param program path of nats-server */
  static async start(program: string, nodes: 1 | 3): Promise<Broker> {
    if (nodes === 1) return new Broker([await NatsServer.start({ program })], undefined);
    const cluster = await NatsCluster.start({ program, size: nodes });
    return new Broker(cluster.servers, cluster);
  }

  /** For a client. */
  get urls(): string[] {
    return this.#servers.map(({ url }) => url);
  }

  get nodes(): number {
    return this.#servers.length;
  }

  /** Kills the only server, or the one that leads the stream, and now and then all of them. @returns whether one ran */
  async kill(): Promise<boolean> {
    this.#kills += 1;
    const victims = this.#kills % allEvery === 0 ? this.#servers : [await this.#leader()];
    const running = victims.filter((server) => server.running);
    await Promise.all(running.map(async (server) => await server.freeze()));
    await sleep(deafMs);
    await Promise.all(running.map(async (server) => await server.kill()));
    return running.length > 0;
  }

  /** Starts what was killed, with the same streams. */
  async resume(): Promise<void> {
    await Promise.all(
      this.#servers.filter((server) => !server.running).map(async (server) => await server.resume()),
    );
  }

  /**
   * What is larger is poison for the stream from now on; tried until it is so, for the server may just be away.
   *
   * @param bytes headers included; -1: nothing is
   */
  async limitMessages(bytes: number, signal: AbortSignal): Promise<void> {
    while (!(await limitNatsMessages(this.urls, { stream, bytes }))) {
      await sleep(100, undefined, { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map(async (server) => await server[Symbol.asyncDispose]()));
  }

  async #leader(): Promise<NatsServer> {
    // Without one, any will do.
    const index = (await this.#cluster?.leaderOf(stream).catch(() => 0)) ?? 0;
    return this.#servers[index] as NatsServer;
  }
}
