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
  /** `nats://host:port` or `tls://host:port`, one or more of a cluster. */
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
  try {
    return await library.connect({
      ...authentication(library, access),
      servers: [...options.servers],
      name: options.name,
      timeout: options.connectMs ?? 5_000,
      reconnect: false,
      // A connection that is half open is noticed in 10 s by this, and by the first answer that does not come.
      pingInterval: 5_000,
      maxPingOut: 2,
      ...(access.tls === undefined ? {} : { tls: { ...access.tls } }),
    });
  } catch (cause) {
    const detail = `${options.servers.map(withoutSecrets).join(', ')}: ${messageOf(cause)}.`;
    throw runtimeError('ER4014', { detail, cause });
  }
}

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

/** A URL may carry a user and a password. */
export function withoutSecrets(server: string): string {
  return server.replace(/^([a-z]+:\/\/)?[^@/]*@/, '$1');
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
