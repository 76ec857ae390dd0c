/** One test that did not run, and why. */
export interface Skip {
  readonly test: string;
  /** `needs nats-server`, a note of the test's own, or {@link noReason}. */
  readonly reason: string;
}

/** What a run of all tests came to; written by the reporter, read by the summary. */
export interface Outcome {
  /** By vitest project: `unit`, `pg`, … */
  readonly projects: Readonly<
    Record<string, { readonly passed: number; readonly failed: number; readonly skipped: number }>
  >;
  readonly skips: readonly Skip[];
  /** Errors outside of any test: a file that cannot be loaded, a failed hook, an unhandled rejection. */
  readonly errors: number;
}

export const noReason = 'no reason given';
export const notSelected = 'not selected by --testNamePattern';

/**
 * Why a test was skipped. A test that needs something says so at the end of its name, or of a describe's:
 * `[needs nats-server]`; `context.skip('note')` gives a note.
 */
export function skipReason(test: {
  readonly fullName: string;
  readonly note: string | undefined;
  readonly todo: boolean;
  readonly filtered: boolean;
}): string {
  const needs = /\[(needs [^\]]+)\]/.exec(test.fullName)?.[1];
  if (test.note !== undefined && test.note !== '') return test.note;
  if (needs !== undefined) return needs;
  if (test.todo) return 'to do';
  return test.filtered ? notSelected : noReason;
}
