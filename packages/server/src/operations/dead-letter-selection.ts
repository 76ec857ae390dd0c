import { hostname, userInfo } from 'node:os';
import { type DeadLetterSelection, instantForms, parseInstant } from '@event-runtime/runtime';
import { serverError } from '../server-error.ts';

/** Which letters, as the command line says it. */
export interface GivenSelection {
  readonly sink?: string | undefined;
  readonly tenant?: string | undefined;
  readonly type?: string | undefined;
  readonly group?: string | undefined;
  readonly since?: string | undefined;
}

const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** @throws ER5001 */
export function selectionOf(given: GivenSelection): DeadLetterSelection {
  const { sink, tenant, type, group, since } = given;
  for (const [name, text] of Object.entries({ sink, tenant, type, group })) {
    if (text === '') throw notValid(`--${name} is empty.`, 'Leave it out, or say which.');
  }
  return { sink, tenant, type, group, since: since === undefined ? undefined : instantOf(since) };
}

/**
 * What a command is to change: letters that are named, or those that match; never all by mistake.
 *
 * @throws ER5001
 */
export function changeOf(
  given: GivenSelection & { readonly ids: readonly string[]; readonly all: boolean },
): DeadLetterSelection {
  const selection = selectionOf(given);
  const conditions = Object.values(selection).filter((value) => value !== undefined);
  const ids = given.ids.map(idOf);
  if (ids.length === 0 && conditions.length === 0 && !given.all) {
    throw notValid(
      'No letter was named, and no condition given.',
      'Give ids, --group, --sink, --tenant, --type or --since; or --all for every letter.',
    );
  }
  if (given.all && ids.length + conditions.length > 0) {
    throw notValid('--all was given, and which letters.', 'Leave out the one or the other.');
  }
  return ids.length === 0 ? selection : { ...selection, ids };
}

/** @throws ER5001 */
export function idOf(text: string): string {
  if (uuid.test(text)) return text;
  throw notValid(
    `${JSON.stringify(text)} is no id of a dead letter.`,
    'Give a UUID: `event-runtime dead-letters list --all` has them in its first column.',
  );
}

/** Who runs the command, for those who look later. */
export function operator(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    // A container's user may have no name.
    return `unknown@${hostname()}`;
  }
}

function instantOf(text: string): Date {
  const instant = parseInstant(text);
  if (instant !== undefined) return new Date(instant);
  throw notValid(`--since is ${JSON.stringify(text)}.`, `Give a time: ${instantForms}.`);
}

function notValid(detail: string, remedy: string): Error {
  return serverError('ER5001', { detail, remedy });
}
