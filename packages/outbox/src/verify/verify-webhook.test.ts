import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { verifyWebhook } from './verify-webhook.ts';

/** Standard Webhooks' own example. */
const vector = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  seconds: 1_614_265_330,
  body: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};
const now = new Date(vector.seconds * 1000);
const headersOf = (more: Record<string, string> = {}): Record<string, string> => ({
  'webhook-id': vector.id,
  'webhook-timestamp': String(vector.seconds),
  'webhook-signature': vector.signature,
  ...more,
});
const verify = (more: Partial<Parameters<typeof verifyWebhook>[0]> = {}): unknown =>
  verifyWebhook({ secrets: [vector.secret], headers: headersOf(), body: vector.body, now, ...more });
const coded = (code: string): unknown => expect.objectContaining({ code });

test('the published vector', () => {
  expect(verify()).toEqual({ id: vector.id, timestamp: now, secretIndex: 0 });
  expect(verify({ body: Buffer.from(vector.body) })).toMatchObject({ id: vector.id });
  expect(verify({ headers: new Headers(headersOf()) })).toMatchObject({ id: vector.id });
  expect(verify({ secrets: [vector.secret.slice('whsec_'.length)] })).toMatchObject({ id: vector.id });
});

test('header names in any letter case; a header sent twice is refused', () => {
  const upper = Object.fromEntries(
    Object.entries(headersOf()).map(([name, value]) => [name.toUpperCase(), value]),
  );
  expect(verify({ headers: upper })).toMatchObject({ id: vector.id });
  expect(() => verify({ headers: { ...headersOf(), 'webhook-id': [vector.id, vector.id] } })).toThrow(
    coded('ER2101'),
  );
  expect(() => verify({ headers: { ...headersOf(), 'Webhook-Id': 'msg_other' } })).toThrow(coded('ER2101'));
});

test('several secrets and several signatures', () => {
  const other = `whsec_${randomBytes(24).toString('base64')}`;
  expect(verify({ secrets: [other, vector.secret] })).toMatchObject({ secretIndex: 1 });
  const signatures = `v1a,${'A'.repeat(86)}== v1,${'A'.repeat(43)}= v2,x ${vector.signature}`;
  expect(verify({ headers: headersOf({ 'webhook-signature': signatures }) })).toMatchObject({
    secretIndex: 0,
  });
  expect(() => verify({ secrets: [other] })).toThrow(coded('ER2103'));
});

test.each([
  ['another body', { body: '{"test":2432232314}' }],
  ['another id', { headers: headersOf({ 'webhook-id': 'msg_x' }) }],
  ['another time', { headers: headersOf({ 'webhook-timestamp': String(vector.seconds + 1) }) }],
  [
    'another version',
    { headers: headersOf({ 'webhook-signature': vector.signature.replace('v1,', 'v2,') }) },
  ],
  ['no version', { headers: headersOf({ 'webhook-signature': vector.signature.slice(3) }) }],
  ['a shorter signature', { headers: headersOf({ 'webhook-signature': vector.signature.slice(0, -4) }) }],
])('refuses %s', (_, more) => {
  expect(() => verify(more)).toThrow(coded('ER2103'));
});

test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])(
  'refuses a request without %s',
  (name) => {
    expect(() => verify({ headers: headersOf({ [name]: '' }) })).toThrow(coded('ER2101'));
    expect(() => verify({ headers: {} })).toThrow(coded('ER2101'));
  },
);

test.each(['', '1614265330.5', '-1', '0x60', '1e9', ' 1614265330'])('refuses the timestamp %j', (text) => {
  expect(() => verify({ headers: headersOf({ 'webhook-timestamp': text }) })).toThrow(coded('ER2101'));
});

test('the tolerance holds both ways, to the second', () => {
  const at = (offset: number): Date => new Date((vector.seconds + offset) * 1000);
  for (const offset of [-300, 300]) expect(verify({ now: at(offset) })).toMatchObject({ id: vector.id });
  for (const offset of [-301, 301]) expect(() => verify({ now: at(offset) })).toThrow(coded('ER2102'));
  expect(verify({ now: at(900), toleranceSeconds: 900 })).toMatchObject({ id: vector.id });
  expect(() => verify({ toleranceSeconds: Number.NaN })).toThrow(coded('ER2102'));
});

test.each([
  ['none', []],
  ['empty', ['']],
  ['too short', [`whsec_${randomBytes(23).toString('base64')}`]],
  ['too long', [`whsec_${randomBytes(65).toString('base64')}`]],
  ['not base64', ['whsec_not base64 at all, not at all, no']],
])('refuses secrets: %s', (_, secrets) => {
  expect(() => verify({ secrets })).toThrow(coded('ER2104'));
});

test('agrees with the independent standardwebhooks package (fast-check prints the seed)', () => {
  const key = fc
    .uint8Array({ minLength: 24, maxLength: 64 })
    .map((bytes) => Buffer.from(bytes).toString('base64'));
  const id = fc.stringMatching(/^msg_[0-9A-Za-z]{1,30}$/);
  fc.assert(
    fc.property(key, id, fc.string({ unit: 'grapheme' }), fc.boolean(), (secret, messageId, body, tamper) => {
      const signedAt = new Date(Math.floor(Date.now() / 1000) * 1000);
      const signature = new Webhook(secret).sign(messageId, signedAt, body);
      const headers = {
        'webhook-id': messageId,
        'webhook-timestamp': String(signedAt.getTime() / 1000),
        'webhook-signature': signature,
      };
      const received = tamper ? `${body} ` : body;
      const ours = (): unknown => verifyWebhook({ secrets: [secret], headers, body: received });
      const theirs = (): unknown => new Webhook(secret).verify(received, headers, { jsonParse: false });
      if (tamper) {
        expect(ours).toThrow(coded('ER2103'));
        expect(theirs).toThrow();
      } else {
        expect(ours()).toMatchObject({ id: messageId });
        expect(theirs).not.toThrow();
      }
    }),
  );
});
