import { CommanderError } from 'commander';
import { serverError } from '../server-error.ts';

/** What a server's refusal of a statement of ours comes down to, by SQLSTATE. */
const codes = {
  '42501': 'ER1302', // insufficient_privilege
  '3F000': 'ER1101', // invalid_schema_name
  '42P01': 'ER1101', // undefined_table
  '42703': 'ER1101', // undefined_column: of an older schema
  '42883': 'ER1101', // undefined_function
} as const;

/** The coded form of an error of the command line, or that the database gave a command; any other as it is. */
export function codedError(cause: unknown): unknown {
  if (cause instanceof CommanderError) {
    const noWord = cause.code === 'commander.help';
    const said = noWord
      ? 'No command was given.'
      : cause.message.replace(/^error: /, '').replaceAll('\n', ' ');
    return serverError('ER5010', { detail: said, cause });
  }
  if (!(cause instanceof Error) || !('severity' in cause) || !('code' in cause)) return cause;
  const code = Object.hasOwn(codes, String(cause.code)) ? codes[cause.code as keyof typeof codes] : undefined;
  return code === undefined ? cause : serverError(code, { detail: `It says: ${cause.message}.`, cause });
}
