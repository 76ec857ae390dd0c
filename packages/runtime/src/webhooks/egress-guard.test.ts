import type { LookupAddress } from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { isEventRuntimeError } from '@event-runtime/outbox';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { Agent, buildConnector, request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deniedAddress, parseNetwork } from './egress-addresses.ts';
import { EgressGuard, type EgressGuardOptions } from './egress-guard.ts';

let port = 0;
let hits = 0;
const server = createServer((_request, response) => {
  hits += 1;
  response.end('reached');
});

beforeAll(async () => {
  // Both families, where the machine has them: an IPv6 spelling must be refused, not merely fail to connect.
  await new Promise<void>((resolve) => {
    server.once('error', () => server.listen(0, '127.0.0.1', resolve));
    server.listen(0, '::', resolve);
  });
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** The code of the error that a request through the guard ends with; 'reached' when it got an answer. */
async function attempt(url: string, options: EgressGuardOptions = {}): Promise<string> {
  const agent = new Agent({ connect: new EgressGuard(options).connect });
  try {
    const response = await request(url, { dispatcher: agent });
    return await response.body.text();
  } catch (error) {
    for (let at = error; at instanceof Error; at = at.cause) if (isEventRuntimeError(at)) return at.code;
    return String(error);
  } finally {
    await agent.destroy();
  }
}

function resolver(answer: () => LookupAddress[]): LookupFunction {
  return (_name, _options, callback) => {
    callback(null, answer());
  };
}

describe('spellings of this machine', () => {
  test.each([
    '127.0.0.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '127.1',
    '0177.0.0.1',
    '127.0.0.1.',
    '１２７.0.0.1',
    '0',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    'localhost',
  ])('%s is refused, by the check of the URL or at the connection', async (host) => {
    const before = hits;
    const url = `http://${host}:${port}/`;
    expect(await attempt(url)).toBe('ER4002');
    expect(hits).toBe(before);
    if (!host.startsWith('localhost')) expect(() => new EgressGuard().checkUrl(url)).toThrow(/^ER4002/);
  });

  test('the server is there: with an allowance it is reached', async () => {
    expect(await attempt(`http://2130706433:${port}/`, { allow: ['127.0.0.0/8'] })).toBe('reached');
    expect(await attempt(`http://localhost:${port}/`, { allow: ['127.0.0.0/8', '::1'] })).toBe('reached');
  });

  test('an allowance allows nothing else', async () => {
    expect(await attempt(`http://10.0.0.1:${port}/`, { allow: ['127.0.0.0/8'] })).toBe('ER4002');
    expect(await attempt(`http://127.0.0.1:${port}/`, { allow: ['127.0.0.2/32'] })).toBe('ER4002');
  });
});

describe('names', () => {
  test('a name that resolves to this machine', async () => {
    const lookup = resolver(() => [{ address: '127.0.0.1', family: 4 }]);
    expect(await attempt(`http://innocent.example:${port}/`, { lookup })).toBe('ER4002');
    // Without the denial this very set-up reaches the server.
    expect(await attempt(`http://innocent.example:${port}/`, { lookup, allow: ['127.0.0.1'] })).toBe(
      'reached',
    );
  });

  test('one bad address among good ones refuses the name', async () => {
    const lookup = resolver(() => [
      { address: '8.8.8.8', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]);
    expect(await attempt(`http://mixed.example:${port}/`, { lookup })).toBe('ER4002');
  });

  test('rebinding: an answer that changes after it was checked is not the one that is connected to', async () => {
    let reads = 0;
    const lookup = resolver(() => [
      {
        get address(): string {
          reads += 1;
          return reads === 1 ? '8.8.8.8' : '127.0.0.1';
        },
        family: 4,
      },
    ]);
    const before = hits;
    // 8.8.8.8 at that port does not answer; what counts is that this machine was not asked.
    expect(await attempt(`http://rebinding.example:${port}/`, { lookup, connectTimeoutMs: 200 })).not.toBe(
      'reached',
    );
    expect(reads).toBe(1);
    expect(hits).toBe(before);
  });

  test('rebinding between two connections: each connection is checked', async () => {
    const answers = ['127.0.0.1', '127.0.0.2'];
    const lookup = resolver(() => [{ address: answers.shift() ?? '', family: 4 }]);
    const options = { lookup, allow: ['127.0.0.1'] };
    const guard = new EgressGuard(options);
    const agent = new Agent({ connect: guard.connect });
    const first = await request(`http://name.example:${port}/`, { dispatcher: agent, reset: true });
    expect(await first.body.text()).toBe('reached');
    const before = hits;
    await expect(request(`http://name.example:${port}/`, { dispatcher: agent })).rejects.toThrow(/ER4002/);
    expect(hits).toBe(before);
    await agent.destroy();
  });

  test('the connected socket is checked: something on the way led elsewhere', async () => {
    const options: EgressGuardOptions = {
      lookup: resolver(() => [{ address: '8.8.8.8', family: 4 }]),
      connector: () => {
        const direct = buildConnector({});
        return (target, callback) =>
          direct({ ...target, hostname: '127.0.0.1', host: '127.0.0.1' }, callback);
      },
    };
    const before = hits;
    expect(await attempt(`http://name.example:${port}/`, options)).toBe('ER4002');
    expect(hits).toBe(before);
  });
});

describe('checkUrl', () => {
  test.each([
    'ftp://example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'unix:/var/run/docker.sock',
    'https://user@example.com/',
    'https://user:word@example.com/',
    'https://:word@example.com/',
    'https://',
    'example.com',
    '',
  ])('%j is refused with ER4001', (url) => {
    expect(() => new EgressGuard().checkUrl(url)).toThrow(/^ER4001/);
  });

  test('a public name or address passes; http only where it is allowed', () => {
    expect(new EgressGuard().checkUrl('https://example.com/hook?x=1').href).toBe(
      'https://example.com/hook?x=1',
    );
    expect(new EgressGuard().checkUrl('http://8.8.8.8/').hostname).toBe('8.8.8.8');
    expect(() => new EgressGuard({ allowHttp: false }).checkUrl('http://8.8.8.8/')).toThrow(/^ER4001/);
  });

  test('a network that is none is refused when the guard is made', () => {
    expect(() => new EgressGuard({ allow: ['localhost'] })).toThrow(TypeError);
  });
});

describe('deniedAddress', () => {
  test.each([
    // The edges of the special-purpose blocks: inside.
    ...['0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255'],
    ...['127.0.0.0', '127.255.255.255', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
    ...['172.16.0.0', '172.31.255.255', '192.0.0.0', '192.0.0.192', '192.0.0.255', '192.0.2.1'],
    ...['192.88.99.1', '192.168.0.0', '192.168.255.255', '198.18.0.0', '198.19.255.255', '198.51.100.1'],
    ...['203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '168.63.129.16'],
    ...[
      '100.100.100.200',
      '::',
      '::1',
      '::a00:1',
      '::ffff:10.0.0.1',
      '::ffff:0:10.0.0.1',
      '64:ff9b::808:808',
    ],
    ...['64:ff9b:1::1', '100::1', '2001::1', '2001:1ff:ffff::1', '2001:db8::1', '2002:808:808::1', '3fff::1'],
    ...['5f00::1', 'fc00::1', 'fd00:ec2::254', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', 'ff02::1'],
    ...['4000::1', '2600::5efe:a00:1', '2600::200:5efe:a00:1'],
  ])('%s is denied', (address) => {
    expect(deniedAddress(address, [])).not.toBeNull();
  });

  test.each([
    // And just outside.
    ...['1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'],
    ...['128.0.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255'],
    ...['192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255', '8.8.8.8', '168.63.129.17'],
    ...['::ffff:8.8.8.8', '2606:4700::1111', '2001:200::1', '2a00:1450:4001::1', '2003::1', '3ffe::1'],
  ])('%s is allowed', (address) => {
    expect(deniedAddress(address, [])).toBeNull();
  });

  test('property: all of ::/8, 2002::/16 and fc00::/7 is denied; mapped addresses are judged as IPv4', () => {
    const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(bytes, fc.ipV4(), (raw, v4) => {
        for (const first of [[0x00], [0x20, 0x02], [0xfc], [0xfd]]) {
          const address = ipaddr.fromByteArray([...first, ...raw.slice(first.length)]);
          if ((address as ipaddr.IPv6).isIPv4MappedAddress()) continue;
          expect(deniedAddress(address.toString(), [])).not.toBeNull();
        }
        expect(deniedAddress(`::ffff:${v4}`, [])).toBe(deniedAddress(v4, []));
        expect(deniedAddress(v4, [parseNetwork('0.0.0.0/0')])).toBeNull();
      }),
    );
  });

  test.each(['example.com', '', '1.2.3.4.5'])('%j is no address and denied', (text) => {
    expect(deniedAddress(text, [])).toBe('it is not an address');
  });
});
