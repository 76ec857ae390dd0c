import type { ErrorEntry } from '@event-runtime/outbox';
import { serverError } from '../server-error.ts';
import type { CommandContext } from './command-context.ts';
import { errorCatalog } from './error-catalog.ts';
import { errorPage } from './error-page.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { nearCodes } from './near-codes.ts';

export interface ExplainOptions {
  /** As it was typed: `ER1203`, `er1203` or `1203`. Undefined: all of them. */
  readonly code: string | undefined;
}

/**
 * `event-runtime explain`: what a code means, what to do, and where more is written; without a code all of them.
 *
 * @throws ER5009 there is no such code
 */
export async function explainCommand(context: CommandContext, options: ExplainOptions): Promise<ExitCode> {
  const { terminal, json } = context;
  if (options.code === undefined) {
    const codes = Object.keys(errorCatalog).toSorted();
    if (json) terminal.out(JSON.stringify({ errors: codes.map(explained) }));
    else for (const code of codes) terminal.out(`${code}  ${entryOf(code).meaning}`);
    return exitCode.ok;
  }
  const code = knownCode(options.code);
  const { meaning, remedy, retryable, page } = explained(code);
  const { colors } = terminal;
  if (json) {
    terminal.out(JSON.stringify(explained(code)));
    return exitCode.ok;
  }
  terminal.out(`${colors.bold(code)}  ${meaning}`);
  terminal.out(`    ${colors.cyan('→')} ${remedy}`);
  terminal.out(
    `    ${retryable ? 'The same call may succeed later by itself.' : 'It stays so until somebody acts.'}`,
  );
  terminal.out(colors.dim(`    ${page}`));
  return exitCode.ok;
}

/** What the catalogue knows of a code, as `--json` prints it. */
function explained(code: string): ErrorEntry & { readonly code: string; readonly page: string } {
  return { code, ...entryOf(code), page: errorPage(code) };
}

function entryOf(code: string): ErrorEntry {
  return errorCatalog[code] as ErrorEntry;
}

function knownCode(typed: string): string {
  const code = typed.toUpperCase().replace(/^(?=\d{4}$)/, 'ER');
  if (Object.hasOwn(errorCatalog, code)) return code;
  const near = nearCodes(code, Object.keys(errorCatalog));
  const shown = JSON.stringify(typed.slice(0, 40));
  if (near.length === 0) throw serverError('ER5009', { detail: `${shown} is not one: ER and four digits.` });
  throw serverError('ER5009', { detail: `It is ${shown}; near it are ${near.join(', ')}.` });
}
