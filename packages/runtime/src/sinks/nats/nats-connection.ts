import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import type { NatsLibrary } from './nats-library.ts';

/** How a NATS server knows who we are, and we who it is. All texts, no paths. */
export interface NatsAccess {
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
  /** Seed of an nkey, `SU…`. */
  readonly nkeySeed?: string;
  /** The content of a credentials file: a JWT and its seed. */
  readonly credentials?: string;
  /** PEM texts. Given at all, the connection must be encrypted. */
  readonly tls?: {
    /** Default: the authorities of Node. */
    readonly ca?: string;
    /** A certificate of our own, with its key. */
    readonly cert?: string;
    readonly key?: string;
  };
}

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
 * Connects once. The connection does not come back by itself: what the library had buffered meanwhile would be sent
 * behind our back, perhaps behind what was sent again since. Whoever uses it makes a new one.
 *
 * @throws ER4014; what `access` throws
 */
export async function connectNats(
  library: NatsLibrary,
  options: NatsConnectionOptions,
): Promise<NatsConnection> {
  const access = (await options.access?.()) ?? {};
  const encrypted = access.tls !== undefined || options.servers.some((server) => /^tls:/i.test(server));
  const sockets: Socket[] = [];
  const keep = (message: unknown): void => {
    if (attempts.getStore() === sockets) sockets.push((message as { readonly socket: Socket }).socket);
  };
  diagnostics.subscribe('net.client.socket', keep);
  try {
    const connecting = async (): Promise<NatsConnection> =>
      await library.connect({
        ...authentication(library, access),
        servers: [...options.servers],
        name: options.name,
        timeout: options.connectMs ?? 5_000,
        reconnect: false,
        // Behind 4 MiB on a slow link an answer takes its time; a connection that is half open is noticed by the
        // first answer that does not come.
        pingInterval: 20_000,
        maxPingOut: 2,
        // By the scheme alone the library encrypts only what the server offers to.
        ...(encrypted ? { tls: { ...access.tls } } : {}),
      });
    return await attempts.run(sockets, connecting);
  } catch (cause) {
    // Of a server that accepts and says nothing the library keeps the socket.
    for (const socket of sockets) socket.destroy();
    const detail = `${options.servers.map(withoutSecrets).join(', ')}: ${messageOf(cause)}.`;
    throw runtimeError('ER4014', { detail, cause: withoutInput(cause) });
  } finally {
    diagnostics.unsubscribe('net.client.socket', keep);
  }
}

/** Tells the sockets of one attempt from those of another, and of everybody else in the process. */
const attempts = new AsyncLocalStorage<Socket[]>();

function authentication(library: NatsLibrary, given: NatsAccess): ConnectionOptions {
  const { token, user, password, nkeySeed, credentials } = given;
  if (credentials !== undefined) return { authenticator: library.credsAuthenticator(bytes(credentials)) };
  if (nkeySeed !== undefined) return { authenticator: library.nkeyAuthenticator(bytes(nkeySeed)) };
  if (token !== undefined) return { token };
  return {
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
  };
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text.trim());
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
