import { pattern } from './pattern.ts';

const token = '(?:[A-Za-z0-9_-]+|<(?:tenant|ecosystem|type|key)>)';

/** A subject of NATS with placeholders: docs/guides/nats.md. */
export const subjectTemplate: ReturnType<typeof pattern> = pattern({
  pattern: String.raw`${token}(?:\.${token})*`,
  allowed: 'a subject like events.<ecosystem>.<tenant>.<type>',
  placeholder: 'subject',
});
