import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { CertificateAuthority, type CertificateOptions, type Identity } from '@event-runtime/simulators';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { NatsServer } from '../../testing/nats-server.ts';
import { batchOf, ConformanceEvents } from '../../testing/sink-conformance/conformance-events.ts';
import { handOver } from '../../testing/sink-conformance/handover.ts';
import type { NatsAccess } from './nats-access.ts';
import { NatsSink } from './nats-sink.ts';

type Tls = NonNullable<NatsAccess['tls']>;

const program = inject('natsServer');
const { signal } = new AbortController();
const authority = new CertificateAuthority('the authority');
const another = new CertificateAuthority('another authority');
const ca = authority.certificate;
const [yesterday, tomorrow] = [-1, 1].map((days) => new Date(Date.now() + days * 86_400_000));
const hosts = ['127.0.0.1'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-tls-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Lines of a server's configuration. @param clients whose certificates clients must have */
async function encrypted(server: Identity, clients?: CertificateAuthority): Promise<string> {
  const file = async (text: string): Promise<string> => {
    const path = join(folder, `${crypto.randomUUID()}.pem`);
    await writeFile(path, text);
    return JSON.stringify(path);
  };
  const own = `cert_file: ${await file(server.certificate)}, key_file: ${await file(server.key)}`;
  if (clients === undefined) return `tls { ${own} }`;
  return `tls { ${own}, ca_file: ${await file(clients.certificate)}, verify: true }`;
}

interface To {
  readonly server: NatsServer;
  /** Default `127.0.0.1`. */
  readonly host?: string;
}

function sinkTo({ server, host = '127.0.0.1' }: To, tls: () => Tls): NatsSink {
  return new NatsSink({
    name: 'nats',
    servers: [`tls://${host}:${server.port}`],
    stream: { name: 'EVENTS' },
    access: async () => ({ tls: tls() }),
  });
}

async function refusal(sink: NatsSink): Promise<string> {
  const delivering = sink.deliver(batchOf([new ConformanceEvents().make()]), { signal });
  const error: unknown = await delivering.catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'ER4014' });
  expect(inspect(error, { depth: 9 })).not.toContain('PRIVATE KEY');
  const looking: unknown = await sink.inspect().catch((reason: unknown) => reason);
  expect(looking).toMatchObject({ code: 'ER4014' });
  return (error as Error).message;
}

/** What the server says, which may be lost with the connection that it ends right behind: another try tells it. */
async function refusalThat(says: RegExp, sink: NatsSink): Promise<string> {
  let said = await refusal(sink);
  for (let tries = 1; tries < 50 && !says.test(said); tries += 1) said = await refusal(sink);
  return said;
}

/** Batches that failed. */
async function failures(sink: NatsSink): Promise<number> {
  const events = new ConformanceEvents().many(3, { entities: 1 });
  return (await handOver(sink, events, { signal, batch: 3 })).failures;
}

describe.skipIf(program === undefined)('whose certificate a server has [needs nats-server]', () => {
  test.each([
    ['its name', 'localhost'],
    ['its address', '127.0.0.1'],
  ])('one for %s, of the authority that is given: encrypted', async (_what, host) => {
    const configuration = await encrypted(authority.issue({ hosts: [host] }));
    await using server = await NatsServer.start({ program: program!, configuration });
    await using sink = sinkTo({ server, host }, () => ({ ca }));
    expect(await failures(sink)).toBe(0);
  });

  test.each<[what: string, from: CertificateAuthority, issued: CertificateOptions, says: RegExp]>([
    ['one of another authority', another, { hosts }, /: unable to (?:verify|get local issuer)/],
    ['one that has expired', authority, { hosts, until: yesterday! }, /: certificate has expired/],
    ['one that is not valid yet', authority, { hosts, from: tomorrow! }, /: certificate is not yet valid/],
    ['one for another address', authority, { hosts: ['127.0.0.2'] }, /IP: 127\.0\.0\.1 is not in the cert/],
    ['one for localhost', authority, { hosts: ['localhost'] }, /IP: 127\.0\.0\.1 is not in the cert/],
    ['one for nobody', authority, {}, /does not match certificate's altnames/],
  ])('%s is refused with what is wrong; once the server has the right one, it is taken', async (...given) => {
    const [, from, issued, says] = given;
    const until = issued.until === undefined ? {} : { from: new Date(issued.until.getTime() - 86_400_000) };
    const configuration = await encrypted(from.issue({ ...issued, ...until }));
    await using server = await NatsServer.start({ program: program!, configuration });
    await using sink = sinkTo({ server }, () => ({ ca }));
    expect(await refusal(sink)).toMatch(says);
    await server.reload(await encrypted(authority.issue({ hosts })));
    expect(await failures(sink)).toBe(0);
  });

  test('by another name than it has, or with no authority given, it is refused; of two servers each says why', async () => {
    const configuration = await encrypted(authority.issue({ hosts: ['nats.example', ...hosts] }));
    await using server = await NatsServer.start({ program: program!, configuration });
    await using byName = sinkTo({ server, host: 'localhost' }, () => ({ ca }));
    expect(await refusal(byName)).toMatch(/Host: localhost\. is not in the cert's altnames/);
    await using unknown = sinkTo({ server }, () => ({}));
    expect(await refusal(unknown)).toMatch(/: unable to (?:verify|get local issuer)/);
    const servers = [`tls://127.0.0.1:${server.port}`, 'tls://127.0.0.1:1'];
    await using both = new NatsSink({ name: 'nats', servers, stream: { name: 'EVENTS' } });
    const said = await refusal(both);
    expect(said).toMatch(/127\.0\.0\.1:1: connection refused/);
    expect(said).toMatch(/: unable to (?:verify|get local issuer)/);
  });

  test('a server without encryption is refused where TLS is wanted', async () => {
    await using server = await NatsServer.start({ program: program! });
    await using sink = sinkTo({ server }, () => ({ ca }));
    expect(await refusal(sink)).toMatch(/does not support 'tls'/);
  });
});

describe.skipIf(program === undefined)('whose certificate we have [needs nats-server]', () => {
  const client = authority.issue();
  const until = yesterday!;
  const before = new Date(until.getTime() - 86_400_000);
  const given = ({ certificate: cert, key }: Identity): Tls => ({ ca, cert, key });

  test('of the authority that the server trusts: it is taken; all else is refused with what is wrong', async () => {
    const configuration = await encrypted(authority.issue({ hosts }), authority);
    await using server = await NatsServer.start({ program: program!, configuration });
    const wrong: ReadonlyArray<readonly [tls: Tls, says: RegExp]> = [
      [{ ca }, /certificate required/],
      [given(another.issue()), /unknown ca|bad certificate/],
      [given(authority.issue({ from: before, until })), /certificate expired|bad certificate/],
      [given({ ...client, key: another.issue().key }), /key values mismatch/],
      [{ ca, cert: 'no certificate', key: client.key }, /no start line|PEM/],
      [{ ca: 'no certificate' }, /unable to (?:verify|get local issuer)|PEM|no start line/],
    ];
    let tls: Tls = {};
    await using sink = sinkTo({ server }, () => tls);
    for (const [each, says] of wrong) {
      tls = each;
      expect(await refusalThat(says, sink)).toMatch(says);
    }
    tls = given(client);
    expect(await failures(sink)).toBe(0);
  });
});
