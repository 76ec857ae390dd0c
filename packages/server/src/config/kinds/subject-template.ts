import { pattern } from './pattern.ts';

const literal = '[A-Za-z0-9_-]+';
const token = `(?:${literal}|<(?:tenant|ecosystem|type|key)>)`;

/**
 * A subject of NATS with placeholders: docs/guides/nats.md. One that begins with a placeholder could be anything,
 * the server's own subjects included, and JetStream makes no stream of it.
 */
export const subjectTemplate: ReturnType<typeof pattern> = pattern({
  pattern: String.raw`(?!_INBOX(?:\.|$))${literal}(?:\.${token})*`,
  allowed:
    'a subject like events.<ecosystem>.<tenant>.<type>, its first part a word of its own and not _INBOX',
  placeholder: 'subject',
});
