import { createHash, randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Receiver } from './receiver.ts';

const secrets = { acme: secret(), globex: secret() };
let receiver: Receiver;

function secret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

async function start(refusePercent: number): Promise<void> {
  const endpoints = Object.entries(secrets).map(([tenant, value]) => ({ tenant, secret: value }));
  receiver = await Receiver.start({ endpoints, refusePercent });
}

beforeEach(() => start(0));
afterEach(() => receiver[Symbol.asyncDispose]());

async function post(
  body: string,
  options: { url?: string; signedBy?: string; signedAt?: Date; id?: string } = {},
): Promise<number> {
  const {
    url = receiver.urlFor('acme'),
    signedBy = secrets.acme,
    signedAt = new Date(),
    id = 'e1',
  } = options;
  const response = await fetch(url, {
    method: 'POST',
    body,
    headers: {
      'webhook-id': `msg_${id}`,
      'webhook-timestamp': String(Math.floor(signedAt.getTime() / 1_000)),
      'webhook-signature': new Webhook(signedBy).sign(`msg_${id}`, signedAt, body),
      'ce-id': id,
      'ce-type': 'claim.approved',
      'ce-entitykey': 'S%C3%A3o%20Paulo%25',
    },
  });
  return response.status;
}

test('what is rightly signed is written down: who, what, and the hash of the very bytes', async () => {
  const body = ' {"amount":1.0,"city":"S\u00e3o \u{1f40d}"}\n';
  expect(await post(body)).toBe(200);
  expect(receiver.received).toEqual([
    {
      eventId: 'e1',
      messageId: 'msg_e1',
      tenant: 'acme',
      entityKey: 'S\u00e3o Paulo%',
      eventType: 'claim.approved',
      sha256: createHash('sha256').update(body, 'utf8').digest('hex'),
      arrivedAt: expect.any(Number),
    },
  ]);
  expect(receiver.has('e1')).toBe(true);
});

test.each([
  ["another tenant's secret", { signedBy: secrets.globex }],
  ['a signature of long ago', { signedAt: new Date(Date.now() - 3_600_000) }],
])('%s is refused, and not received', async (_name, options) => {
  expect(await post('{}', options)).toBe(401);
  expect(receiver.received).toEqual([]);
  expect(receiver.refusedSignatures).toMatchObject([{ path: '/hooks/acme', eventId: 'e1' }]);
});

test('an unknown path is no endpoint', async () => {
  expect(await post('{}', { url: `${receiver.urlFor('acme')}x` })).toBe(404);
  expect(receiver.distinct).toBe(0);
});

test('where refusals are asked for, an event is refused once at most, and is not received by that', async () => {
  await receiver[Symbol.asyncDispose]();
  await start(50);
  const ids = Array.from({ length: 40 }, (_, index) => `e${index}`);
  const first: number[] = [];
  for (const id of ids) first.push(await post('{}', { id }));
  const refused = ids.filter((_, index) => first[index] === 503);
  expect(refused.length).toBeGreaterThan(5);
  expect(refused.length).toBeLessThan(35);
  expect(receiver.distinct).toBe(ids.length - refused.length);
  for (const id of refused) expect(await post('{}', { id })).toBe(200);
  expect(receiver.distinct).toBe(ids.length);
});
