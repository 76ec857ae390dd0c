import { EgressGuard, SecretBox } from '@event-runtime/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { secretKeysKind } from '../secret-kind.ts';
import { byteSize } from './byte-size.ts';
import { duration } from './duration.ts';
import { network } from './network.ts';

const anyDuration = duration({ least: 0, most: 999_999_999, bare: true });
const anySize = byteSize({ least: 0, most: 2 ** 40 });

test('a duration that is shown is read as itself', () => {
  const whole = fc
    .integer({ min: 0, max: 999_999 })
    .chain((n) => fc.constantFrom(n, n * 1_000, n * 60, n * 600));
  fc.assert(
    fc.property(whole, (ms) => {
      expect(anyDuration.fromText(anyDuration.show(ms))).toEqual({ value: ms });
    }),
  );
});

test('a size that is shown is read as itself', () => {
  const whole = fc
    .integer({ min: 0, max: 2 ** 20 })
    .chain((n) => fc.constantFrom(n, n * 1_024, n * 1_024 ** 2));
  fc.assert(
    fc.property(whole, (bytes) => {
      expect(anySize.fromText(anySize.show(bytes))).toEqual({ value: bytes });
    }),
  );
});

test.each([['1.5s'], ['-1s'], [' 1s'], ['1 s'], ['1d'], ['s'], [''], ['1e3']])(
  '%j is no duration',
  (text) => {
    expect(anyDuration.fromText(text)).toHaveProperty('objections');
  },
);

test('what is a network here is one for the guard that uses it', () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const bits = fc.option(fc.integer({ min: 0, max: 130 }), { nil: undefined });
  fc.assert(
    fc.property(address, bits, (one, size) => {
      const text = size === undefined ? one : `${one}/${size}`;
      const good = 'value' in network.fromText(text);
      expect(good).toBe(size === undefined || size <= (one.includes(':') ? 128 : 32));
      if (good) expect(() => new EgressGuard({ allow: [text] })).not.toThrow();
    }),
  );
});

test.each([
  '10',
  '10.0.0',
  '10.0.0.0/',
  '10.0.0.0/08',
  '10.0.0.0/8/8',
  '[::1]',
  'fe80::1%eth0',
  'localhost',
  '',
])('%j is no network', (text) => {
  expect(network.fromText(text)).toHaveProperty('objections');
});

test('a key is one for the box that uses it, and the other way round', () => {
  const bytes = fc.uint8Array({ minLength: 30, maxLength: 34 });
  fc.assert(
    fc.property(bytes, fc.boolean(), (key, unpadded) => {
      const base64 = Buffer.from(key).toString('base64');
      const text = unpadded ? base64.replace(/=$/, '') : base64;
      const good = 'value' in secretKeysKind.read([text]);
      const usable = ((): boolean => {
        try {
          return new SecretBox([text]) instanceof SecretBox;
        } catch {
          return false;
        }
      })();
      expect(good).toBe(usable);
    }),
    // One length in five is right.
    { numRuns: 300 },
  );
});
