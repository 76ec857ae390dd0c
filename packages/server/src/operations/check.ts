import { runtimeErrors } from '@event-runtime/runtime';
import { errorPage } from '../cli/error-page.ts';

export type CheckState = 'ok' | 'warn' | 'fail';

/** A code of the catalogue. */
export type CheckCode = keyof typeof runtimeErrors;

/** One thing that was looked at, and what was found. */
export interface Check {
  readonly code: CheckCode;
  /** What was looked at, in words. */
  readonly name: string;
  readonly state: CheckState;
  /** The value seen. */
  readonly seen: string;
  /** What is wrong; null: nothing is. */
  readonly why: string | null;
  /** What mends it, to copy where it can be; null: nothing is wrong. */
  readonly fix: string | null;
  /** Where more is written. */
  readonly page: string;
}

interface Seen {
  readonly code: CheckCode;
  readonly name: string;
  readonly seen: string;
}

/** Nothing is wrong. */
export function ok({ code, name, seen }: Seen): Check {
  return { code, name, state: 'ok', seen, why: null, fix: null, page: errorPage(code) };
}

/** It will do harm sooner or later, or may be meant so. */
export function warn(found: Seen & { readonly fix?: string }): Check {
  return problem('warn', found);
}

/** It does harm, or nothing works with it. */
export function fail(found: Seen & { readonly fix?: string }): Check {
  return problem('fail', found);
}

function problem(state: 'warn' | 'fail', { code, name, seen, fix }: Seen & { readonly fix?: string }): Check {
  const { meaning, remedy } = runtimeErrors[code];
  return { code, name, state, seen, why: meaning, fix: fix ?? remedy, page: errorPage(code) };
}
