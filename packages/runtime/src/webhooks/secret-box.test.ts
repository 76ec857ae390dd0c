import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SecretBox } from './secret-box.ts';
import { SecretCache } from './secret-cache.ts';
import { newSecret } from './signature.ts';

const endpointId = randomUUID();

describe('SecretBox', () => {
  test('opens what it sealed; two boxes of one secret differ, and neither contains it', () => {
    const box = new SecretBox([SecretBox.newKey()]);
    const secret = newSecret();
    const sealed = box.seal(secret, { endpointId });
    expect(box.open(sealed, { endpointId })).toBe(secret);
    expect(box.seal(secret, { endpointId }).equals(sealed)).toBe(false);
    expect(sealed.includes(Buffer.from(secret.slice(6)))).toBe(false);
  });

  test("another endpoint's box does not open", () => {
    const box = new SecretBox([SecretBox.newKey()]);
    const sealed = box.seal('secret', { endpointId });
    expect(() => box.open(sealed, { endpointId: randomUUID() })).toThrow(/^ER4004/);
  });

  test('no altered byte and no cut is accepted', () => {
    const box = new SecretBox([SecretBox.newKey()]);
    const sealed = box.seal('secret', { endpointId });
    fc.assert(
      fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Buffer.from(sealed);
        altered[at] = (altered[at] ?? 0) ^ change;
        expect(() => box.open(altered, { endpointId })).toThrow(/^ER4004/);
        expect(() => box.open(sealed.subarray(0, at), { endpointId })).toThrow(/^ER4004/);
      }),
    );
  });

  test('after a rotation the old key opens, the new one seals; without the old key it is refused', () => {
    const [old, current] = [SecretBox.newKey(), SecretBox.newKey()];
    const sealed = new SecretBox([old]).seal('secret', { endpointId });
    const rotated = new SecretBox([current, old]);
    expect(rotated.open(sealed, { endpointId })).toBe('secret');
    const again = rotated.seal('secret', { endpointId });
    expect(new SecretBox([current]).open(again, { endpointId })).toBe('secret');
    expect(() => new SecretBox([current]).open(sealed, { endpointId })).toThrow(/^ER4004.*another key/);
  });

  test.each([[[]], [['']], [[Buffer.alloc(16).toString('base64')]], [['x'.repeat(44)]]])(
    'keys %j are refused',
    (keys) => {
      expect(() => new SecretBox(keys)).toThrow(/^ER5001/);
    },
  );
});

test('the cache opens anew when the sealed secret has changed', () => {
  const box = new SecretBox([SecretBox.newKey()]);
  const cache = new SecretCache(box);
  expect(cache.open(box.seal('one', { endpointId }), { endpointId })).toBe('one');
  expect(cache.open(box.seal('two', { endpointId }), { endpointId })).toBe('two');
});
