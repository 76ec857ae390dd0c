/**
 * Field names whose values never leave the process in a log line: secrets, and what may be personal data.
 * Compared without case, `-` and `_`, and their plurals too.
 */
const deniedFields: ReadonlySet<string> = new Set([
  'authorization',
  'body',
  'connectionstring',
  'cookie',
  'data',
  'databaseurl',
  'headers',
  'password',
  'payload',
  'query',
  'secret',
  'secretkey',
  'signature',
  'token',
  'values',
]);

const removed = '[removed]';
/** Up to the last `@` before a slash or white space: a password may hold an `@` that nobody escaped. */
const urlPassword = /\b([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s/]*@/gi;
/** One that was cut through with the end of the text. */
const cutPassword = /\b([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s@]*…$/i;
const webhookSecret = /\bwhs(?:ec|k)_[A-Za-z0-9+/=]+/g;

/** The search for passwords looks at a long word again and again: no message needs more. */
const longest = 4_000;

/** The text without passwords in URLs and without webhook secrets; the end of a long one is left out. */
function withoutSecrets(given: string): string {
  const text = given.length > longest ? `${given.slice(0, longest)}…` : given;
  return text
    .replaceAll(urlPassword, `$1:${removed}@`)
    .replace(cutPassword, `$1:${removed}`)
    .replaceAll(webhookSecret, removed);
}

/**
 * A copy of what is about to be logged, without the denied fields and without secrets in its texts.
 * Errors keep their name, code, message and stack, and lose everything else: database drivers hang the
 * failing row on them. Deeper than `depth` levels nothing is kept.
 */
export function sanitised(value: unknown, depth = 4): unknown {
  if (typeof value === 'string') return withoutSecrets(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '[deep]';
  if (value instanceof Error) return sanitisedError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => sanitised(item, depth - 1));
  const fields = Object.entries(value).map(([name, field]): [string, unknown] => {
    const plain = name.toLowerCase().replaceAll(/[-_]/g, '');
    const denied = deniedFields.has(plain) || (plain.endsWith('s') && deniedFields.has(plain.slice(0, -1)));
    return [name, denied ? removed : sanitised(field, depth - 1)];
  });
  return Object.fromEntries(fields);
}

function sanitisedError(error: Error, depth: number): unknown {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    message: withoutSecrets(error.message),
    ...(error.stack === undefined ? {} : { stack: withoutSecrets(error.stack) }),
    ...(error.cause === undefined ? {} : { cause: sanitised(error.cause, depth - 1) }),
  };
}
