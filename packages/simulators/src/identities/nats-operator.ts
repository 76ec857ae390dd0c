import { Nkey } from './nkey.ts';

export interface NatsUserOptions {
  /** When its token ends. Default: never. */
  readonly until?: Date;
  /** Subjects that it must not publish to. Default: none. */
  readonly mayNotPublish?: readonly string[];
}

/**
 * Who says on a nats-server who may do what: an operator, an account with JetStream and the server's own account, each
 * a token (JWT) that the one above has signed. Users have a token too, which the server learns when they connect.
 *
 * Source: NATS documentation, "JWT Authentication"; github.com/nats-io/jwt v2.
 */
export class NatsOperator {
  readonly #operator = new Nkey('operator');
  readonly #account = new Nkey('account');

  /** Lines of a server's configuration. */
  get configuration(): string {
    const system = new Nkey('account');
    const own = this.#token(this.#operator, {
      subject: this.#operator,
      claims: { type: 'operator', system_account: system.publicKey },
    });
    const accounts = [
      [this.#account, { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }],
      [system, {}],
    ] as const;
    const preloaded = accounts.map(([account, limits]) => {
      const claims = { type: 'account', limits: { ...unlimited, ...limits } };
      return `  ${account.publicKey}: ${this.#token(this.#operator, { subject: account, claims })}`;
    });
    return [
      `operator: ${own}`,
      `system_account: ${system.publicKey}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      ...preloaded,
      '}',
    ].join('\n');
  }

  /** The content of a credentials file for a user of the account. */
  credentials(options: NatsUserOptions = {}): string {
    const { until, mayNotPublish = [] } = options;
    const user = new Nkey('user');
    const claims = { type: 'user', pub: { deny: mayNotPublish }, sub: {}, subs: -1, data: -1, payload: -1 };
    const token = this.#token(this.#account, {
      ...{ subject: user, claims },
      ...(until === undefined ? {} : { until }),
    });
    return [
      ...['-----BEGIN NATS USER JWT-----', token, '------END NATS USER JWT------', ''],
      ...['-----BEGIN USER NKEY SEED-----', user.seed, '------END USER NKEY SEED------', ''],
    ].join('\n');
  }

  #token(
    issuer: Nkey,
    about: {
      readonly subject: Nkey;
      readonly claims: Readonly<Record<string, unknown>>;
      readonly until?: Date;
    },
  ): string {
    const { subject, claims, until } = about;
    const body = {
      jti: crypto.randomUUID(),
      iat: seconds(new Date()),
      iss: issuer.publicKey,
      sub: subject.publicKey,
      name: 'test',
      ...(until === undefined ? {} : { exp: seconds(until) }),
      nats: { ...claims, version: 2 },
    };
    const text = `${base64url({ typ: 'JWT', alg: 'ed25519-nkey' })}.${base64url(body)}`;
    return `${text}.${issuer.sign(text).toString('base64url')}`;
  }
}

const unlimited = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1_000);
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
