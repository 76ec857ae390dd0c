import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** A certificate with its key, as PEM texts. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateOptions {
  /** Names and IPv4 addresses of a server. Default: none, as a client needs none. */
  readonly hosts?: readonly string[];
  /** Default: yesterday. */
  readonly from?: Date;
  /** Default: in a year. */
  readonly until?: Date;
}

const day = 86_400_000;
/** ecdsa-with-SHA256. */
const signature = sequence(oid('2a8648ce3d040302'));

/**
 * An authority that lives as long as a test, and signs certificates for clients and servers. Node can read X.509, and
 * sign, but makes no certificates; this is as much of the format as OpenSSL and Go ask for.
 *
 * Source: RFC 5280 §4.1, §4.2.1; X.690 (DER).
 */
export class CertificateAuthority {
  /** For whoever is to trust it. PEM. */
  readonly certificate: string;
  readonly #name: string;
  readonly #key: KeyObject;

  /** @param name what tells it from others: they are looked up by it */
  constructor(name: string) {
    const { publicKey, privateKey } = newKeys();
    this.#name = name;
    this.#key = privateKey;
    const isAuthority = extension('551d13', sequence(der(0x01, Buffer.from([0xff]))), 'critical');
    const signsCertificates = extension('551d0f', der(0x03, Buffer.from([2, 0b100])), 'critical');
    this.certificate = this.#sign({ subject: name, publicKey, extensions: [isAuthority, signsCertificates] });
  }

  issue(options: CertificateOptions = {}): Identity {
    const { publicKey, privateKey } = newKeys();
    const { hosts = [] } = options;
    const forBoth = extension('551d25', sequence(oid('2b06010505070301'), oid('2b06010505070302')));
    const names = extension('551d11', sequence(...hosts.map(nameOf)));
    const extensions = hosts.length === 0 ? [forBoth] : [forBoth, names];
    const subject = hosts[0] ?? 'a client';
    return {
      certificate: this.#sign({ ...options, subject, publicKey, extensions }),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  #sign(about: {
    readonly subject: string;
    readonly publicKey: KeyObject;
    readonly extensions: readonly Buffer[];
    readonly from?: Date;
    readonly until?: Date;
  }): string {
    const { subject, publicKey, extensions } = about;
    const { from = new Date(Date.now() - day), until = new Date(Date.now() + 365 * day) } = about;
    const content = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      // The first bit is the sign, and the first byte must not be 0.
      der(0x02, Buffer.from([1]), randomBytes(15)),
      signature,
      distinguished(this.#name),
      sequence(time(from), time(until)),
      distinguished(subject),
      publicKey.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    );
    const signed = der(0x03, Buffer.from([0]), sign('sha256', content, this.#key));
    return pem(sequence(content, signature, signed));
  }
}

function newKeys(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** Tag, length, content. Up to 64 KiB. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, ...sizeOf(content)]), content]);
}

/** In as few bytes as will do: Go takes nothing else. */
function sizeOf({ length }: Buffer): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts);
}

/** @param hex as it is encoded */
function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

/** The common name alone. */
function distinguished(name: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));
}

/** UTCTime: a year of two digits, up to 2049. */
function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .slice(2, 19)
    .replaceAll(/[^0-9]/g, '');
  return der(0x17, Buffer.from(`${digits}Z`));
}

function extension(id: string, value: Buffer, critical?: 'critical'): Buffer {
  const flag = critical === undefined ? [] : [der(0x01, Buffer.from([0xff]))];
  return sequence(oid(id), ...flag, der(0x04, value));
}

function nameOf(host: string): Buffer {
  if (isIPv4(host)) return der(0x87, Buffer.from(host.split('.').map(Number)));
  return der(0x82, Buffer.from(host));
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
