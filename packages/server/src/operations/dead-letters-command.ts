import {
  type DeadLetter,
  type DeadLetterGroup,
  listDeadLetterGroups,
  listDeadLetters,
  showDeadLetter,
  type WholeDeadLetter,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { visibleText } from '../cli/visible-text.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { type GivenSelection, idOf, selectionOf } from './dead-letter-selection.ts';
import { countText } from './quantities.ts';
import { openSite } from './site.ts';
import { table } from './table.ts';

export interface DeadLettersListOptions extends GivenSettings, GivenSelection {
  /** Single letters, not groups. */
  readonly all: boolean;
  /** As it was written. */
  readonly limit: string;
  readonly after: string | undefined;
}

export interface DeadLetterShowOptions extends GivenSettings {
  readonly id: string;
}

const most = 10_000;

/** Of a reason, on one line. */
const reasonWidth = 60;

/** `event-runtime dead-letters list`: the groups, or with `--all` single letters. @throws ER5001 */
export async function deadLettersListCommand(
  context: CommandContext,
  options: DeadLettersListOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const selection = selectionOf(options);
  const limit = limitOf(options.limit);
  const after = options.after === undefined ? undefined : idOf(options.after);
  await using site = await openSite(context, options);
  if (!options.all) {
    const groups = await listDeadLetterGroups(site.client, selection, { limit });
    if (json) terminal.out(JSON.stringify({ groups }));
    else for (const line of groupLines(groups)) terminal.out(line);
    return exitCode.ok;
  }
  const { letters, next } = await listDeadLetters(site.client, selection, { limit, after });
  if (json) {
    terminal.out(JSON.stringify({ letters, next }));
    return exitCode.ok;
  }
  for (const line of letterLines(letters)) terminal.out(line);
  if (next !== null) terminal.out(`There are more: --after ${next}`);
  return exitCode.ok;
}

/** `event-runtime dead-letters show`. @throws ER4019, ER5001 */
export async function deadLetterShowCommand(
  context: CommandContext,
  options: DeadLetterShowOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const id = idOf(options.id);
  await using site = await openSite(context, options);
  const letter = await showDeadLetter(site.client, id);
  if (letter === undefined) throw serverError('ER4019', { detail: `It is ${id}.` });
  if (json) terminal.out(JSON.stringify({ ...letter, payload: letter.payload?.toString() ?? null }));
  else for (const line of wholeLines(letter, terminal.colors.dim)) terminal.out(line);
  return exitCode.ok;
}

/** The table of groups; one line where there is none. */
export function groupLines(groups: readonly DeadLetterGroup[]): string[] {
  if (groups.length === 0) return ['There is no dead letter.'];
  const rows = groups.map((each) => [
    each.group,
    countText(each.letters),
    each.redriving === 0 ? '' : countText(each.redriving),
    short(each.sink),
    short(each.eventType),
    short(each.reasonCode),
    second(each.firstFailedAt),
    second(each.lastDiedAt),
    short(each.reason),
  ]);
  return table(['group', 'letters', 'redriving', 'sink', 'type', 'code', 'first', 'last', 'reason'], rows);
}

function letterLines(letters: readonly DeadLetter[]): string[] {
  if (letters.length === 0) return ['There is no dead letter.'];
  const rows = letters.map((each) => [
    each.id,
    each.state,
    short(each.sink),
    short(each.tenant),
    short(each.eventType),
    short(each.entityKey ?? ''),
    String(each.attempts),
    second(each.diedAt),
    short(each.reason),
  ]);
  return table(['id', 'state', 'sink', 'tenant', 'type', 'key', 'attempts', 'died', 'reason'], rows);
}

function wholeLines(letter: WholeDeadLetter, dim: (text: string) => string): string[] {
  const { payload, headers, redrives, redriveAt, redriveBy } = letter;
  const facts: ReadonlyArray<readonly [string, string | null]> = [
    ['letter', letter.id],
    ['group', letter.group],
    ['state', letter.state],
    ['relay', letter.relay],
    ['sink', letter.sink],
    ['endpoint', letter.endpointId],
    ['event', letter.eventId],
    ['type', letter.eventType],
    ['tenant', letter.tenant],
    ['ecosystem', letter.ecosystem],
    ['key', letter.entityKey],
    ['seq', letter.seq],
    ['replay', letter.replayId],
    ['recorded', letter.recordedAt],
    ['failed', `${letter.firstFailedAt} to ${letter.diedAt}, attempts: ${letter.attempts}`],
    ['redriven', redrives === 0 ? null : `times: ${redrives}, last ${redriveAt} by ${redriveBy}`],
    ['code', letter.reasonCode],
    ['reason', letter.reason],
    ['headers', headers],
  ];
  const lines = facts.flatMap(([name, text]) =>
    text === null ? [] : [`${dim(name.padEnd(9))}  ${visibleText(text)}`],
  );
  if (payload === null)
    return [...lines, `${dim('payload')}    (gone from the outbox before the letter was kept)`];
  return [
    ...lines,
    dim(`payload    ${payload.length} bytes`),
    ...payload.toString().split('\n').map(visibleText),
  ];
}

function short(text: string): string {
  const visible = visibleText(text);
  return visible.length > reasonWidth ? `${visible.slice(0, reasonWidth - 1)}…` : visible;
}

/** `2026-11-20T10:00:00Z` */
function second(instant: string): string {
  return `${instant.slice(0, 19)}Z`;
}

/** @throws ER5001 */
function limitOf(text: string): number {
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= most) return limit;
  throw serverError('ER5001', {
    detail: `--limit is ${JSON.stringify(text)}.`,
    remedy: `Give a whole number from 1 to ${countText(most)}.`,
  });
}
