import { receiverError } from '../errors/codes.ts';

/**
 * The key bytes of a Standard Webhooks secret.
 *
 * @param secret `whsec_` and the padded standard base64 of 24 to 64 bytes; the prefix may be missing
 * @throws ER2104; the message never holds the secret
 */
export function webhookKey(secret: string): Buffer {
  const text = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret;
  const key = Buffer.from(text, 'base64');
  // Buffer skips what is no base64; only what comes back the same was base64.
  if (key.toString('base64') !== text) throw receiverError('ER2104', { detail: 'It is not base64.' });
  if (key.length < 24 || key.length > 64) {
    throw receiverError('ER2104', { detail: `It has ${key.length} bytes.` });
  }
  return key;
}
