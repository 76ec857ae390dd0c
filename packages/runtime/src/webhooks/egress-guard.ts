import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';
import { runtimeError } from '../errors/codes.ts';
import { deniedAddress, type Network, parseAddress, parseNetwork } from './egress-addresses.ts';

export interface EgressGuardOptions {
  /** Networks that deliveries may reach although they are not public: `127.0.0.0/8`, `::1`. Default: none. */
  readonly allow?: readonly string[];
  /** Whether `http:` is allowed beside `https:`. Default true. */
  readonly allowHttp?: boolean;
  /** Milliseconds to connect, TLS included. Default 5,000. */
  readonly connectTimeoutMs?: number;
  /** Resolves names; asked for all addresses. Default: the system's resolver. Tests give their own. */
  readonly lookup?: LookupFunction;
  /** What makes the connection, given the guarded lookup. Default undici's. Tests give their own. */
  readonly connector?: (options: buildConnector.BuildOptions) => buildConnector.connector;
}

/**
 * Keeps deliveries away from private networks, this machine and metadata services.
 *
 * Three checks, because each alone can be passed: the literal host (a resolver is never asked about an
 * address), every resolved address (one bad one refuses the name), and the address of the connected socket
 * (whatever happened in between). The addresses that were checked are the ones that are connected to:
 * there is no second resolution. Redirects are not followed by whoever uses the connector.
 */
export class EgressGuard {
  /** For undici: `new Agent({ connect: guard.connect })`. */
  readonly connect: buildConnector.connector;
  readonly #allowed: readonly Network[];
  readonly #allowHttp: boolean;
  readonly #lookup: LookupFunction;

  /** @throws TypeError an entry of `allow` is not a network */
  constructor(options: EgressGuardOptions = {}) {
    this.#allowed = (options.allow ?? []).map(parseNetwork);
    this.#allowHttp = options.allowHttp ?? true;
    this.#lookup = options.lookup ?? systemLookup;
    const open = (options.connector ?? buildConnector)({
      lookup: this.#resolve,
      timeout: options.connectTimeoutMs ?? 5_000,
      // One connection, one request at a time: the order of deliveries is ours to keep.
      allowH2: false,
    });
    this.connect = (target, callback) => {
      const denied = this.#deniedHost(target.hostname);
      if (denied !== null) {
        queueMicrotask(() => callback(denied, null));
        return;
      }
      open(target, (...[error, socket]: buildConnector.CallbackArgs) => {
        if (error !== null || socket === null) {
          callback(error ?? new TypeError('no socket'), null);
          return;
        }
        const reached = this.#denied(socket.remoteAddress ?? '');
        if (reached === null) return callback(null, socket);
        socket.destroy();
        callback(reached, null);
      });
    };
  }

  /**
   * Checks what can be known of a URL without a resolver: scheme, credentials, literal host.
   *
   * @throws ER4001 not a usable URL · ER4002 its host is an address that is not allowed
   */
  checkUrl(text: string): URL {
    const url = URL.canParse(text) ? new URL(text) : null;
    if (url === null) throw runtimeError('ER4001', { detail: 'It cannot be parsed.' });
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && this.#allowHttp)) {
      throw runtimeError('ER4001', { detail: `Its scheme is ${url.protocol}` });
    }
    if (url.username !== '' || url.password !== '') {
      throw runtimeError('ER4001', { detail: 'It contains a user name or password.' });
    }
    const denied = this.#deniedHost(url.hostname);
    if (denied !== null) throw denied;
    return url;
  }

  /** For literal hosts; a name is judged when it is resolved. */
  #deniedHost(host: string): Error | null {
    return parseAddress(host) === null ? null : this.#denied(host);
  }

  #denied(address: string): Error | null {
    const why = deniedAddress(address, this.#allowed);
    return why === null ? null : runtimeError('ER4002', { detail: `The address is ${address}: ${why}.` });
  }

  /** Resolves once, checks every answer, and hands on copies of exactly what was checked. */
  readonly #resolve: LookupFunction = (hostname, options, callback) => {
    this.#lookup(hostname, { ...options, all: true }, (error, found, family) => {
      if (error !== null) return callback(error, '', 0);
      const answers = Array.isArray(found) ? found : [{ address: found, family: family ?? isIP(found) }];
      const copies = answers.map(
        (answer): LookupAddress => ({ address: answer.address, family: answer.family }),
      );
      for (const { address } of copies) {
        const denied = this.#denied(address);
        if (denied !== null) return callback(denied, '', 0);
      }
      const first = copies[0];
      if (first === undefined) return callback(new Error('the name has no address'), '', 0);
      if (options.all === true) callback(null, copies);
      else callback(null, first.address, first.family);
    });
  };
}
