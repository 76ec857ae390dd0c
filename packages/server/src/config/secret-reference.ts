import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';

/** Where a secret is kept; `plain`: it was given itself. */
export interface SecretReference {
  readonly kind: 'env' | 'file' | 'plain';
  /** The variable or the path; for `plain` the secret. */
  readonly target: string;
}

/** The form of a reference, as a file has it. */
export const referencePattern = '^(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$';

/** Takes `env:NAME` and `file:/path` for references, and all else for the secret itself. */
export function secretReference(text: string): SecretReference {
  if (/^env:[A-Za-z_]\w*$/.test(text)) return { kind: 'env', target: text.slice(4) };
  if (text.startsWith('file:') && isAbsolute(text.slice(5))) return { kind: 'file', target: text.slice(5) };
  return { kind: 'plain', target: text };
}

/**
 * What a reference leads to, without white space around it.
 *
 * @returns the secret, or why there is none: a clause without the secret
 */
export async function resolveReference(
  reference: SecretReference,
  options: { readonly env: Readonly<Record<string, string | undefined>>; readonly signal: AbortSignal },
): Promise<{ readonly secret: string } | { readonly why: string }> {
  const { kind, target } = reference;
  if (kind === 'plain') return { secret: target.trim() };
  if (kind === 'file') return await readSecretFile(target, options.signal);
  const secret = options.env[target]?.trim() ?? '';
  return secret === '' ? { why: `env:${target} is not set` } : { secret };
}

async function readSecretFile(
  path: string,
  signal: AbortSignal,
): Promise<{ readonly secret: string } | { readonly why: string }> {
  try {
    const secret = (await readFile(path, { encoding: 'utf8', signal })).trim();
    return secret === '' ? { why: `${path} is empty` } : { secret };
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return { why: `${path} cannot be read (${code})` };
  }
}
