import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { newSecret, secretBytes, sign } from './signature.ts';

// From the specification's reference material, and recomputed with an independent implementation.
const vector = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestampSeconds: 1_614_265_330,
  body: Buffer.from('{"test": 2432232314}'),
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};

describe('sign', () => {
  test('the published vector', () => {
    expect(sign({ ...vector, secrets: [vector.secret] })).toBe(vector.signature);
  });

  test('the independent library verifies any body, byte for byte, and no altered one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 24, max: 64 }), (bytes, length) => {
        // The library compares text for Buffers too, so bodies are what a body is: JSON text in UTF-8.
        const body = Buffer.from(JSON.stringify(Buffer.from(bytes).toString('latin1')));
        const secret = `whsec_${Buffer.alloc(length, bytes[0] ?? 1).toString('base64')}`;
        const timestampSeconds = Math.floor(Date.now() / 1_000);
        const headers = {
          'webhook-id': 'msg_1',
          'webhook-timestamp': String(timestampSeconds),
          'webhook-signature': sign({ secrets: [secret], id: 'msg_1', timestampSeconds, body }),
        };
        const receiver = new Webhook(secret);
        expect(receiver.verify(body, headers)).toEqual(JSON.parse(body.toString()));
        expect(() => receiver.verify(Buffer.concat([body, Buffer.from(' ')]), headers)).toThrow();
        expect(() => receiver.verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow();
      }),
    );
  });

  test('during a rotation a receiver with either secret verifies, one with neither does not', () => {
    const [current, old] = [newSecret(), newSecret()];
    const timestampSeconds = Math.floor(Date.now() / 1_000);
    const body = Buffer.from('{}');
    const signature = sign({ secrets: [current, old], id: 'msg_1', timestampSeconds, body });
    expect(signature.split(' ')).toHaveLength(2);
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(timestampSeconds),
      'webhook-signature': signature,
    };
    expect(new Webhook(current).verify(body, headers)).toEqual({});
    expect(new Webhook(old).verify(body, headers)).toEqual({});
    expect(() => new Webhook(newSecret()).verify(body, headers)).toThrow();
  });

  test('an id with a full stop, or no secret, is refused', () => {
    expect(() => sign({ ...vector, id: 'a.b', secrets: [vector.secret] })).toThrow(TypeError);
    expect(() => sign({ ...vector, secrets: [] })).toThrow(/^ER4003/);
  });
});

describe('secrets', () => {
  test('a new one is whsec_ and 32 bytes, and never the same', () => {
    const secret = newSecret();
    expect(secretBytes(secret)).toHaveLength(32);
    expect(newSecret()).not.toBe(secret);
  });

  test.each([
    ['no prefix', Buffer.alloc(32).toString('base64')],
    ['too short', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['not padded', `whsec_${Buffer.alloc(32).toString('base64').replace('=', '')}`],
    ['the URL alphabet', `whsec_${Buffer.alloc(32, 0xff).toString('base64url')}`],
    ['a space in it', `whsec_ ${Buffer.alloc(32).toString('base64')}`],
    ['empty', 'whsec_'],
  ])('%s is refused with ER4003, without repeating it', (_why, secret) => {
    expect(() => secretBytes(secret)).toThrow(/^ER4003/);
    expect(() => secretBytes(secret)).not.toThrow(secret.slice(7) === '' ? 'whsec_x' : secret.slice(7));
  });

  test.each([24, 64])('%i bytes are allowed', (length) => {
    expect(secretBytes(`whsec_${Buffer.alloc(length, 7).toString('base64')}`)).toHaveLength(length);
  });
});
