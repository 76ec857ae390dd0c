import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { runtimeError } from '../errors/codes.ts';

const version = 1;
const keyIdBytes = 8;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + keyIdBytes + nonceBytes;

/**
 * Keeps webhook secrets encrypted at rest: AES-256-GCM, bound to the endpoint that they belong to, so that
 * a box copied to another endpoint's row does not open.
 *
 * A box is: version (1 byte, 1), key id (8 bytes: the beginning of the key's SHA-256), nonce (12 bytes),
 * ciphertext, tag (16 bytes). The key id says which key opens it, so keys can be rotated.
 */
export class SecretBox {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #current: { readonly id: Buffer; readonly key: Buffer };

  /**
   * @param keys each 32 bytes in base64. The first one seals; all of them open.
   * @throws ER5001 no key, or one that is not 32 bytes of base64
   */
  constructor(keys: readonly string[]) {
    const parsed = keys.map(parseKey);
    const current = parsed[0];
    if (current === undefined) {
      throw runtimeError('ER5001', { detail: 'EVENT_RUNTIME_SECRET_KEY is missing.' });
    }
    this.#current = current;
    this.#keys = new Map(parsed.map(({ id, key }) => [id.toString('hex'), key]));
  }

  /** A new random key: 32 bytes in base64. */
  static newKey(): string {
    return randomBytes(32).toString('base64');
  }

  seal(secret: string, context: { readonly endpointId: string }): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#current.key, nonce);
    cipher.setAAD(associated(context.endpointId));
    const head = Buffer.concat([Buffer.from([version]), this.#current.id, nonce]);
    return Buffer.concat([head, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws ER4004 an unknown key, another endpoint's box, or altered bytes */
  open(box: Buffer, context: { readonly endpointId: string }): string {
    const refuse = (why: string, cause?: unknown): Error =>
      runtimeError('ER4004', { detail: `It belongs to endpoint ${context.endpointId}: ${why}.`, cause });
    if (box.length < headBytes + tagBytes || box[0] !== version) throw refuse('not a sealed secret');
    const key = this.#keys.get(box.subarray(1, 1 + keyIdBytes).toString('hex'));
    if (key === undefined) throw refuse('sealed under another key');
    const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(1 + keyIdBytes, headBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(associated(context.endpointId));
    decipher.setAuthTag(box.subarray(box.length - tagBytes));
    try {
      const text = decipher.update(box.subarray(headBytes, box.length - tagBytes));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (cause) {
      throw refuse('the bytes were altered, or belong to another endpoint', cause);
    }
  }
}

function parseKey(text: string): { readonly id: Buffer; readonly key: Buffer } {
  const key = Buffer.from(text, 'base64');
  if (key.length !== 32 || key.toString('base64') !== text.trim()) {
    throw runtimeError('ER5001', { detail: 'EVENT_RUNTIME_SECRET_KEY is not base64 of 32 bytes.' });
  }
  return { id: createHash('sha256').update(key).digest().subarray(0, keyIdBytes), key };
}

function associated(endpointId: string): Buffer {
  return Buffer.from(`event_runtime.webhook_endpoint/${endpointId.toLowerCase()}`);
}
