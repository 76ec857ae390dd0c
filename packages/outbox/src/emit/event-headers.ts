import { producerError } from '../errors/codes.ts';

const mostBytes = 16_384;

/**
 * The headers option as JSON text; null when there are none.
 *
 * @param label how messages name the event; they name headers too, but never their values
 * @throws ER2008 for a name that is not 1 to 20 lower-case letters and digits (what every protocol's
 *   binding can carry), a value that is no storable text, or more than 16,384 bytes in all
 */
export function toHeaders(
  headers: Readonly<Record<string, string>> | undefined,
  label: string,
): string | null {
  if (headers === undefined) return null;
  if (!isRecord(headers)) throw invalid(label, 'headers is no plain object');
  const entries: Array<[string, unknown]> = Object.entries(headers);
  if (entries.length === 0) return null;
  for (const [name, value] of entries) {
    if (!/^[a-z0-9]{1,20}$/.test(name)) {
      const shown = JSON.stringify(name.slice(0, 40));
      throw invalid(label, `header name ${shown} is not 1 to 20 lower-case letters and digits`);
    }
    if (typeof value !== 'string' || /[\0\p{Surrogate}]/u.test(value)) {
      throw invalid(label, `header ${name} is not text that can be stored`);
    }
  }
  const text = JSON.stringify(Object.fromEntries(entries));
  if (Buffer.byteLength(text) > mostBytes) throw invalid(label, `the headers exceed ${mostBytes} bytes`);
  return text;
}

/** A Map or a Headers object has no entries of its own: what it holds would be left out without a word. */
function isRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function invalid(label: string, what: string): Error {
  return producerError('ER2008', { detail: `${label}: ${what}.` });
}
