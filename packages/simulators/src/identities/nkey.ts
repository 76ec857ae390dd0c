import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** What a key of NATS is for: its first byte. */
const prefixes = { operator: 112, account: 0, user: 160 } as const;
const seedPrefix = 144;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/**
 * A key as NATS writes it: Ed25519, in base32 behind a letter that says what it is for. By hand, for the client library
 * that is tested has its own.
 *
 * Source: NATS documentation, "NKeys"; github.com/nats-io/nkeys, README.
 */
export class Nkey {
  /** `O…`, `A…` or `U…`. */
  readonly publicKey: string;
  /** `SO…`, `SA…` or `SU…`: a secret. */
  readonly seed: string;
  readonly #key: KeyObject;

  constructor(of: keyof typeof prefixes) {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
    const prefix = prefixes[of];
    this.#key = privateKey;
    this.publicKey = encode(Buffer.from([prefix]), Buffer.from(x, 'base64url'));
    // Five bits for "a seed", then the eight of what it is for.
    const both = Buffer.from([seedPrefix | (prefix >> 5), (prefix & 0b1_1111) << 3]);
    this.seed = encode(both, Buffer.from(d, 'base64url'));
  }

  sign(text: string): Buffer {
    return sign(null, Buffer.from(text), this.#key);
  }
}

function encode(prefix: Buffer, key: Buffer): string {
  const content = Buffer.concat([prefix, key]);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(checksum(content));
  return base32(Buffer.concat([content, sum]));
}

/** CRC-16 as XMODEM has it. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) sum = ((sum << 1) ^ (sum & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return sum;
}

/** Without padding. */
function base32(bytes: Buffer): string {
  let bits = '';
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0');
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => alphabet[Number.parseInt(group.padEnd(5, '0'), 2)]).join('');
}
