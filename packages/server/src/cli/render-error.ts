import { isEventRuntimeError } from '@event-runtime/outbox';
import { errorCatalog } from './error-catalog.ts';
import { errorPage } from './error-page.ts';
import type { Terminal } from './terminal.ts';

/** An error taken apart, as `--json` prints it below the key `error`. */
export interface ErrorDescription {
  /** `ER` and four digits; null for an error that is none of ours. */
  readonly code: string | null;
  readonly meaning: string;
  /** What was seen; null when there is nothing to add. */
  readonly detail: string | null;
  readonly remedy: string | null;
  readonly retryable: boolean;
  /** Where more is written, as a path in the repository; null for a code that is not in the catalogue. */
  readonly page: string | null;
}

/** Takes an error apart into what happened, what was seen, and what to do. */
export function describeError(error: unknown): ErrorDescription {
  if (!isEventRuntimeError(error)) {
    const meaning = error instanceof Error ? error.message : String(error);
    return {
      code: null,
      meaning: meaning === '' ? 'Unknown error' : meaning,
      detail: null,
      remedy: null,
      retryable: false,
      page: null,
    };
  }
  const { code, remedy, retryable } = error;
  const meaning = errorCatalog[code]?.meaning ?? '';
  const rest = error.message.slice(code.length).trim();
  const told = rest.endsWith(`— ${remedy}`) ? rest.slice(0, -remedy.length - 2).trim() : rest;
  const detail = told.startsWith(meaning) ? told.slice(meaning.length).trim() : told;
  return {
    code,
    meaning: meaning === '' ? detail : meaning,
    detail: meaning === '' || detail === '' ? null : detail,
    remedy,
    retryable,
    page: meaning === '' ? null : errorPage(code),
  };
}

/** The lines that a person reads: code and meaning, what was seen, what caused it, what to do, where it is explained. */
export function renderError(error: unknown, terminal: Terminal): string[] {
  const { colors } = terminal;
  const { code, meaning, detail, remedy, page } = describeError(error);
  const lines = [`${colors.red('✗')} ${colors.bold(code === null ? meaning : `${code}  ${meaning}`)}`];
  if (detail !== null) lines.push(...detail.split('\n').map((line) => `    ${line}`));
  const causes = causesOf(error).filter((cause) => detail?.includes(cause) !== true);
  lines.push(...causes.map((cause) => colors.dim(`    cause: ${cause}`)));
  if (remedy !== null) lines.push(`    ${colors.cyan('→')} ${remedy}`);
  if (page !== null) lines.push(colors.dim(`    ${page}`));
  return lines;
}

function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause instanceof Error && causes.length < 3) {
    if (cause.message !== '') causes.push(cause.message);
    cause = cause.cause;
  }
  return causes;
}
