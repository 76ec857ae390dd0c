import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics from 'node:diagnostics_channel';
import { isIP, type Socket } from 'node:net';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import { authentication, type NatsAccess, whyTurnedAway } from './nats-access.ts';
import type { NatsLibrary } from './nats-library.ts';

export interface NatsConnectionOptions {
  /** `nats://host:port`, one or more of a cluster; `tls://` for any of them: each connection must be encrypted. */
  readonly servers: readonly string[];
  /** Asked for each connection, so that a secret that was changed is used. Default: neither secrets nor TLS. */
  readonly access?: () => Promise<NatsAccess>;
  /** What the server shows of us. */
  readonly name: string;
  /** Milliseconds for a connection to be made. Default 5,000. */
  readonly connectMs?: number;
}

/**
 * Connects once, to whichever server is the first to take us. The connection does not come back by itself: what the
 * library had buffered meanwhile would be sent behind our back, perhaps behind what was sent again since. Whoever uses
 * it makes a new one.
 *
 * @throws ER4014 with what each server answered; what `access` throws
 */
export async function connectNats(
  library: NatsLibrary,
  options: NatsConnectionOptions,
): Promise<NatsConnection> {
  const access = (await options.access?.()) ?? {};
  const encrypted = access.tls !== undefined || options.servers.some((server) => /^tls:/i.test(server));
  const common: ConnectionOptions = {
    ...authentication(library, access),
    name: options.name,
    timeout: options.connectMs ?? 5_000,
    reconnect: false,
    // Behind 4 MiB on a slow link an answer takes its time; a connection that is half open is noticed by the
    // first answer that does not come.
    pingInterval: 20_000,
    maxPingOut: 2,
  };
  const answers: string[] = [];
  let cause: unknown;
  // One by one: of several the library tells what the last one answered.
  for (const server of inAnyOrder(options.servers)) {
    // By the scheme alone the library encrypts only what the server offers to.
    const tls = encrypted ? { tls: { ...access.tls, ...checkedAs(server) } } : {};
    try {
      return await attempt(library, { ...common, ...tls, servers: [server] });
    } catch (error) {
      cause = error;
      answers.push(`${withoutSecrets(server)}: ${messageOf(error)}`);
    }
  }
  const detail = `${answers.join('; ')}.${whyTurnedAway(access)}`;
  throw runtimeError('ER4014', { detail, cause: withoutInput(cause) });
}

/** Leaves no socket behind. */
async function attempt(library: NatsLibrary, options: ConnectionOptions): Promise<NatsConnection> {
  const sockets: Socket[] = [];
  const keep = (message: unknown): void => {
    if (attempts.getStore() === sockets) sockets.push((message as { readonly socket: Socket }).socket);
  };
  diagnostics.subscribe('net.client.socket', keep);
  try {
    return await attempts.run(sockets, async () => await library.connect(options));
  } catch (error) {
    // Of a server that accepts and says nothing the library keeps the socket.
    for (const socket of sockets) socket.destroy();
    throw error;
  } finally {
    diagnostics.unsubscribe('net.client.socket', keep);
  }
}

/** Tells the sockets of one attempt from those of another, and of everybody else in the process. */
const attempts = new AsyncLocalStorage<Socket[]>();

function inAnyOrder(servers: readonly string[]): string[] {
  return servers
    .map((server) => ({ server, at: Math.random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ server }) => server);
}

/**
 * Whose certificate a server must have, where its URL has an address: the library gives Node names only, and without one
 * Node would ask for that of `localhost`.
 */
function checkedAs(server: string): { readonly host?: string } {
  const [, bracketed, plain = ''] = /^(?:[^/]*:\/\/)?(?:.*@)?(?:\[([^\]]*)\]|([^:/]*))/s.exec(server) ?? [];
  const host = bracketed ?? plain;
  return isIP(host) === 0 ? {} : { host };
}

/** A URL may carry a user and a password, which may have any character if it was not encoded. */
export function withoutSecrets(server: string): string {
  return server.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1');
}

/** The error for what is no URL has the whole of it in a member. */
function withoutInput(cause: unknown): unknown {
  return cause instanceof Error && 'input' in cause ? new Error(cause.message) : cause;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
