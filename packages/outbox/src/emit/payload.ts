import { producerError } from '../errors/codes.ts';

/**
 * An event's data as JSON text, made once by `JSON.stringify`: what it answers is what every receiver
 * gets, byte for byte. It writes a lone surrogate as an escape, so the text is always valid UTF-8.
 *
 * @param label how messages name the event
 * @throws ER2007 for what JSON cannot say: bigint, a circular reference, undefined or a function
 */
export function toPayload(label: string, data: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    throw producerError('ER2007', { detail: `${label}.`, cause });
  }
  if (text === undefined) throw producerError('ER2007', { detail: `${label}: the data is ${typeof data}.` });
  return text;
}
