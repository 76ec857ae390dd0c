import { createHash } from 'node:crypto';

/** What one event is made of before it has a tenant: its type, its key, and its payload byte for byte. */
export interface SamplePayload {
  readonly type: string;
  /** What order is kept by. */
  readonly entityKey: string;
  /** JSON text, exactly as it is handed to the database. */
  readonly text: string;
  /** The value, where the text is exactly what `JSON.stringify` makes of it. */
  readonly data?: object;
  /** SHA-256 of the text in UTF-8, in lower-case hexadecimal. */
  readonly sha256: string;
}

/** Adds the hash to a payload's text. */
export function samplePayload(init: Omit<SamplePayload, 'sha256'>): SamplePayload {
  return { ...init, sha256: createHash('sha256').update(init.text, 'utf8').digest('hex') };
}
