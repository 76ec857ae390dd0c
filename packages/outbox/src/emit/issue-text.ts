import type { SchemaIssue } from '../catalog/standard-schema.ts';

/** What stands in a message in place of a value. */
const mask = '‹value›';
const mostIssues = 20;
const mostValues = 1_000;
/** A longer message was made of data, not of words. */
const longestMessage = 1_000;

/**
 * Where a validator's own messages print the value they met. Zod's do not; a message written by hand
 * may, under any validator, so that known values are masked as well.
 */
const printsValue: Readonly<Record<string, RegExp>> = {
  valibot: /(?<=\breceived )[\s\S]*$/i,
  arktype: /(?<=\(was )[\s\S]*(?=\)[^)]*$)/,
};

/**
 * A validator's issues as `path: message`, joined by `; `, without the values: they may be personal data.
 * The path and a message's wording stay, so names of properties do appear.
 *
 * @param context `vendor` as Standard Schema gives it; `data` is what was validated
 */
export function issueText(
  issues: readonly SchemaIssue[],
  context: { readonly vendor: string; readonly data: unknown },
): string {
  const lines = issues.slice(0, mostIssues).map((issue) => {
    const path = (issue.path ?? []).map((step) => (typeof step === 'object' ? step.key : step));
    const pattern = printsValue[context.vendor];
    const message = pattern === undefined ? issue.message : issue.message.replace(pattern, mask);
    const masked = message.length > longestMessage ? mask : maskValues(message, valueAt(context.data, path));
    return path.length === 0 ? masked : `${path.map(String).join('.')}: ${masked}`;
  });
  if (issues.length > mostIssues) lines.push(`and ${issues.length - mostIssues} more`);
  return lines.join('; ');
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** Replaces each value that stands in the message as a word of its own, whatever its letter case. */
function maskValues(message: string, value: unknown): string {
  const known = [...primitives(value)].toSorted((a, b) => b.length - a.length);
  let text = message;
  for (const each of known) {
    if (each.length > message.length) continue;
    const literal = each.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
    text = text.replaceAll(new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, 'giu'), mask);
  }
  return text;
}

/** The texts of all strings, numbers and bigints inside a value; cycles and great depth are no trap. */
function primitives(root: unknown): Set<string> {
  const found = new Set<string>();
  const seen = new Set<object>();
  const open: unknown[] = [root];
  while (open.length > 0 && found.size < mostValues && seen.size < mostValues) {
    const value = open.pop();
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') {
      const text = String(value).trim();
      if (text !== '') found.add(text);
    } else if (typeof value === 'object' && value !== null && !seen.has(value)) {
      seen.add(value);
      open.push(...(Object.values(value) as unknown[]).slice(0, mostValues));
    }
  }
  return found;
}
