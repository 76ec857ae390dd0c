import type { Authenticator, ConnectionOptions } from '@nats-io/transport-node';
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

/**
 * What the library needs to know of it.
 *
 * @throws ER4014 what was given is no seed, or no credentials; the message shows nothing of it
 */
export function authentication(library: NatsLibrary, given: NatsAccess): ConnectionOptions {
  const { token, user, password, nkeySeed, credentials } = given;
  if (credentials !== undefined) {
    // The library wants an end of line, and no other sign, behind the last one.
    const text = `${credentials.trim().replaceAll('\r\n', '\n')}\n`;
    return usable('credentials', library.credsAuthenticator(Buffer.from(text)));
  }
  if (nkeySeed !== undefined) {
    return usable('nkey seed', library.nkeyAuthenticator(Buffer.from(nkeySeed.trim())));
  }
  if (token !== undefined) return { token };
  return {
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
  };
}

/** The cause is left out: it may name a part of the secret. */
function usable(what: string, authenticator: Authenticator): ConnectionOptions {
  try {
    authenticator('');
  } catch {
    throw runtimeError('ER4014', { detail: `The ${what} cannot be read as such.` });
  }
  return { authenticator };
}

/**
 * What we know and the server does not say, as a sentence behind its answer: that the credentials have ended. By our
 * clock; it is the server's that counts.
 */
export function whyTurnedAway({ credentials = '' }: NatsAccess, now: number = Date.now()): string {
  const [, claims = ''] = /^[\w-]+\.([\w-]+)\.[\w-]+\s*$/m.exec(credentials) ?? [];
  const endsAt = endOf(Buffer.from(claims, 'base64url').toString());
  if (endsAt === undefined || endsAt > now) return '';
  return ` The credentials ended at ${new Date(endsAt).toISOString()}.`;
}

/** Milliseconds since 1970. Undefined: never, or it cannot be read. */
function endOf(claims: string): number | undefined {
  try {
    const { exp } = JSON.parse(claims) as { readonly exp?: unknown };
    return typeof exp === 'number' && exp > 0 ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
