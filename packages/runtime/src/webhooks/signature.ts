import { createHmac, randomBytes } from 'node:crypto';
import { runtimeError } from '../errors/codes.ts';

const prefix = 'whsec_';

/** What is signed: `id.timestamp.body`. */
export interface SignatureInput {
  /** The endpoint's secrets in their text form; more than one while a secret is rotated, the current one first. */
  readonly secrets: readonly string[];
  /** The value of `webhook-id`. It must contain no full stop: it would make the signed text ambiguous. */
  readonly id: string;
  /** The value of `webhook-timestamp`: whole seconds since 1970, the time of this attempt. */
  readonly timestampSeconds: number;
  /** The body exactly as it is sent. */
  readonly body: Buffer;
}

/**
 * The value of the header `webhook-signature`: one `v1,<base64>` for each secret, joined by a space.
 * A receiver tries each, so that both sides of a rotation verify.
 *
 * Source: Standard Webhooks 1.0.0, "Signature scheme". @throws ER4003 a secret is not valid
 */
export function sign(input: SignatureInput): string {
  if (input.id.includes('.')) throw new TypeError('a webhook id must not contain a full stop');
  if (input.secrets.length === 0) throw runtimeError('ER4003', { detail: 'No secret was given.' });
  const head = `${input.id}.${input.timestampSeconds}.`;
  return input.secrets
    .map((secret) => {
      const hmac = createHmac('sha256', secretBytes(secret)).update(head).update(input.body);
      return `v1,${hmac.digest('base64')}`;
    })
    .join(' ');
}

/** A new random secret of 32 bytes: `whsec_` and base64. */
export function newSecret(): string {
  return prefix + randomBytes(32).toString('base64');
}

/**
 * The bytes of a secret in its text form: `whsec_` and standard base64, padded, of 24 to 64 bytes.
 *
 * @throws ER4003 anything else; the message never repeats the value
 */
export function secretBytes(secret: string): Buffer {
  if (!secret.startsWith(prefix)) {
    throw runtimeError('ER4003', { detail: `It does not begin with ${prefix}` });
  }
  const text = secret.slice(prefix.length);
  const bytes = Buffer.from(text, 'base64');
  // Node's decoder skips what it does not know; only the round trip tells that nothing was skipped.
  if (bytes.toString('base64') !== text) throw runtimeError('ER4003', { detail: 'It is not padded base64.' });
  if (bytes.length < 24 || bytes.length > 64) {
    throw runtimeError('ER4003', { detail: `It has ${bytes.length} bytes.` });
  }
  return bytes;
}
