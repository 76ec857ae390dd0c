import { chown, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { EmbeddedPostgres } from '../../../runtime/src/testing/embedded-postgres.ts';
import { ownServer } from '../../../runtime/src/testing/own-server.suite.ts';

/*
 * An authority, another one, and a server's certificate for 127.0.0.1, signed by the first; good from 2020 to 2120.
 * The authorities' keys were thrown away. Made with OpenSSL 3: for each `openssl req -newkey ec -pkeyopt
 * ec_paramgen_curve:P-256 -nodes`, then `openssl ca -startdate 20200101000000Z -enddate 21200101000000Z`, with
 * `-selfsign` and basicConstraints=critical,CA:TRUE, or with subjectAltName=IP:127.0.0.1.
 */
const authority = `-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUIVrLAl6ZL1X+EL6kRfZb2yWwJr4wCgYIKoZIzj0EAwIw
JTEjMCEGA1UEAwwaZXZlbnQtcnVudGltZSB0ZXN0IENBIChjYSkwIBcNMjAwMTAx
MDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMCUxIzAhBgNVBAMMGmV2ZW50LXJ1bnRp
bWUgdGVzdCBDQSAoY2EpMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEx0Hsq0+U
GkwwnHh4Jd+k/sG9Oy6GiP2enwiD3GHSwQtLsoFdvECFafKGiBu/oB26YbNQCwjp
dgQ4hBpgr0aAwqNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAgQw
HQYDVR0OBBYEFA17c0vDIax7/jcbygmzUxl7xPZZMAoGCCqGSM49BAMCA0cAMEQC
IEUlH0gN9j9R/BzTKxdiXs+8YpfIruzxZmFIZll0SuvRAiAaNSIHz4KMoI1dBhcx
W0RccTDdudhIVbRupkxE0eHKyw==
-----END CERTIFICATE-----
`;
const anotherAuthority = `-----BEGIN CERTIFICATE-----
MIIBlTCCATygAwIBAgIUYUR9Jo1dY57SGmmiGdMqbof8TSowCgYIKoZIzj0EAwIw
KDEmMCQGA1UEAwwdZXZlbnQtcnVudGltZSB0ZXN0IENBIChvdGhlcikwIBcNMjAw
MTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMCgxJjAkBgNVBAMMHWV2ZW50LXJ1
bnRpbWUgdGVzdCBDQSAob3RoZXIpMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
k+vbLNOCB6nU66QtC39qpgg7/zaAKNobNoNP8UFRZ8Mt0BiBxp3Lk7QohBCQAhsW
Gk16lhDsGARD0SZHGT70saNCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8E
BAMCAgQwHQYDVR0OBBYEFAUfjU+8+o0zJIqiIKXorU0dNH1iMAoGCCqGSM49BAMC
A0cAMEQCIC/CMRT3gXmzO89xEdQKp+ZETxCG3t9/7KEwt4b619nZAiBhXYeMxbxD
WAgphJYxlZwz47sbOGzGijU8lX19WTvCpw==
-----END CERTIFICATE-----
`;
const certificate = `-----BEGIN CERTIFICATE-----
MIIBpTCCAUugAwIBAgIUcNBozXhrYOuI2U+OJshmyuthCr0wCgYIKoZIzj0EAwIw
JTEjMCEGA1UEAwwaZXZlbnQtcnVudGltZSB0ZXN0IENBIChjYSkwIBcNMjAwMTAx
MDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCTEyNy4wLjAuMTBZ
MBMGByqGSM49AgEGCCqGSM49AwEHA0IABN9eIPPyogeWsfV/9U2pI47ysN4MaQ0T
mI+Q4bs5SlZqHGIC8tyAUozxBVhJiEXvLJ1aYr909n0+sfniJIZFMQmjaDBmMA8G
A1UdEQQIMAaHBH8AAAEwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0OBBYEFJjY
KDBoZo7TyIcKOhKagO6GYpc8MB8GA1UdIwQYMBaAFA17c0vDIax7/jcbygmzUxl7
xPZZMAoGCCqGSM49BAMCA0gAMEUCIBTsWkvwdkae9BpFo+zjWUMoCK5jCP6mIc2C
p/0cMEUXAiEAhGlIiHWoEkFI7M0KqAQZL/ZZ8J8s1lYDbZN81fIHkyo=
-----END CERTIFICATE-----
`;
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgW3ZyzhJ9MwoLQe65
IrpBZoH2QXd5JbQmeO7JXJOqXdahRANCAATfXiDz8qIHlrH1f/VNqSOO8rDeDGkN
E5iPkOG7OUpWahxiAvLcgFKM8QVYSYhF7yydWmK/dPZ9PrH54iSGRTEJ
-----END PRIVATE KEY-----
`;

/** A server that takes connections over TLS alone. */
export class TlsServer implements AsyncDisposable {
  readonly postgres: EmbeddedPostgres;
  /** Files of the authority that signed the server's certificate, and of one that did not. */
  readonly authority: string;
  readonly anotherAuthority: string;
  readonly #directory: string;

  private constructor(postgres: EmbeddedPostgres, directory: string) {
    this.postgres = postgres;
    this.#directory = directory;
    this.authority = join(directory, 'authority.pem');
    this.anotherAuthority = join(directory, 'another-authority.pem');
  }

  static async start(name: string): Promise<TlsServer> {
    const directory = await mkdtemp(join(tmpdir(), 'event-runtime-tls-'));
    const postgres = await ownServer(name, { fsync: 'off', max_slot_wal_keep_size: '1GB' });
    const server = new TlsServer(postgres, directory);
    try {
      await writeFile(server.authority, authority);
      await writeFile(server.anotherAuthority, anotherAuthority);
      await server.#switchOn();
      return server;
    } catch (cause) {
      await server[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** The superuser's URL, verified. */
  get url(): string {
    return this.over(this.postgres.url, { sslmode: 'verify-full', sslrootcert: this.authority });
  }

  /** A URL with these parameters, and no other. */
  over(url: string, parameters: Readonly<Record<string, string>>): string {
    const changed = new URL(url);
    changed.search = new URLSearchParams(parameters).toString();
    return changed.href;
  }

  async #switchOn(): Promise<void> {
    const { dataDirectory, url } = this.postgres;
    const { uid, gid } = await stat(dataDirectory);
    for (const [file, text] of Object.entries({ 'server.crt': certificate, 'server.key': key })) {
      const path = join(dataDirectory, file);
      // A key that others may read is refused.
      await writeFile(path, text, { mode: 0o600 });
      await chown(path, uid, gid);
    }
    const access = join(dataDirectory, 'pg_hba.conf');
    await writeFile(access, (await readFile(access, 'utf8')).replaceAll(/^host\b/gmu, 'hostssl'));
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('alter system set ssl = on');
    await client.query('select pg_reload_conf()');
    await client.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.postgres.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
