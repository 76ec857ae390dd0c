import { createHmac, timingSafeEqual } from 'node:crypto';
import { receiverError } from '../errors/codes.ts';
import { type WebhookHeaders, webhookHeader } from './webhook-headers.ts';
import { webhookKey } from './webhook-secret.ts';

export interface VerifyWebhookOptions {
  /** The endpoint's secrets; more than one while a secret is being rotated. */
  readonly secrets: readonly string[];
  /** The request's headers, as Node's `request.headers` or as a Fetch `Headers`. */
  readonly headers: WebhookHeaders;
  /** The request's body as it came: bytes, or the text of them. Never parsed and serialised again. */
  readonly body: string | Uint8Array;
  /** How far the sender's clock may be from this one, both ways. Default 300. */
  readonly toleranceSeconds?: number;
  /** Default: the system's clock. */
  readonly now?: Date;
}

/** A webhook whose signature holds. */
export interface VerifiedWebhook {
  /** The same for every attempt: remember it, and do the work once. */
  readonly id: string;
  /** When this attempt was signed. */
  readonly timestamp: Date;
  /** Which of `secrets` it was signed with, from 0. */
  readonly secretIndex: number;
}

/** More signatures than a rotation can need; each one costs a comparison per secret. */
const mostSignatures = 32;

/**
 * Verifies a webhook by Standard Webhooks `v1`: HMAC-SHA256 over `id.timestamp.body`, compared in constant
 * time. Signatures of other versions are passed over.
 *
 * Source: Standard Webhooks specification 1.0.
 *
 * @throws ER2101 headers missing or malformed, ER2102 outside the tolerance, ER2103 no signature fits,
 *   ER2104 a secret is not valid
 */
export function verifyWebhook(options: VerifyWebhookOptions): VerifiedWebhook {
  const { headers, body, toleranceSeconds = 300, now = new Date() } = options;
  const keys = options.secrets.map(webhookKey);
  if (keys.length === 0) throw receiverError('ER2104', { detail: 'No secret was given.' });
  const id = requireHeader(headers, 'webhook-id');
  const timestampText = requireHeader(headers, 'webhook-timestamp');
  const signatures = requireHeader(headers, 'webhook-signature');
  if (!/^\d{1,11}$/.test(timestampText)) {
    throw receiverError('ER2101', { detail: 'webhook-timestamp is no number of seconds.' });
  }
  const timestamp = new Date(Number(timestampText) * 1000);
  const skew = Math.abs(Math.floor(now.getTime() / 1000) - Number(timestampText));
  // Written so that a tolerance or a clock that is no number refuses.
  if (!(skew <= toleranceSeconds)) throw receiverError('ER2102', { detail: `By ${skew} s.` });

  const candidates = signatures.split(' ').slice(0, mostSignatures).flatMap(decodeSignature);
  for (const [secretIndex, key] of keys.entries()) {
    const expected = createHmac('sha256', key).update(`${id}.${timestampText}.`).update(body).digest();
    if (candidates.some((candidate) => timingSafeEqual(candidate, expected))) {
      return { id, timestamp, secretIndex };
    }
  }
  throw receiverError('ER2103');
}

function requireHeader(headers: WebhookHeaders, name: string): string {
  const value = webhookHeader(headers, name);
  if (value === undefined || value === '') throw receiverError('ER2101', { detail: `${name} is missing.` });
  return value;
}

/** The 32 bytes of a `v1` signature; nothing for another version or length. */
function decodeSignature(text: string): Buffer[] {
  if (!/^v1,[A-Za-z0-9+/]{43}=$/.test(text)) return [];
  return [Buffer.from(text.slice('v1,'.length), 'base64')];
}
