import {
  createLogger,
  type DeadLetterGroup,
  type Discarded,
  discardDeadLetters,
  listDeadLetterGroups,
  planDiscard,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { changeOf, type GivenSelection, operator } from './dead-letter-selection.ts';
import { groupLines } from './dead-letters-command.ts';
import { metered } from './meter.ts';
import { countText } from './quantities.ts';
import { openSite } from './site.ts';

export interface DeadLettersDiscardOptions extends GivenSettings, GivenSelection {
  readonly ids: readonly string[];
  /** Every letter is meant, where no condition is given. */
  readonly all: boolean;
  /** Show what would go, and change nothing. */
  readonly dryRun: boolean;
  /** Nothing is done without. */
  readonly yes: boolean;
  readonly reason: string | undefined;
}

/** So many groups are shown of what would go. */
const mostGroups = 10_000;

/** `event-runtime dead-letters discard`: deletes letters for good; a line on standard error says so. @throws ER4019, ER5001 */
export async function deadLettersDiscardCommand(
  context: CommandContext,
  options: DeadLettersDiscardOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const { dryRun, yes, reason } = options;
  const selection = changeOf(options);
  if (!dryRun && (!yes || reason === undefined || reason.trim() === '')) {
    throw serverError('ER5001', {
      detail: 'Nothing was done: discarding dead letters needs --reason and --yes.',
      remedy: 'Their payloads are gone then. Look with --dry-run, or add --reason and --yes.',
    });
  }
  await using site = await openSite(context, options);
  if (dryRun) {
    const { letters, redriving } = await planDiscard(site.client, selection);
    const groups = await listDeadLetterGroups(site.client, selection, { limit: mostGroups });
    if (json) terminal.out(JSON.stringify({ letters, redriving, groups }));
    else for (const line of planLines({ letters, redriving, groups })) terminal.out(line);
    return exitCode.ok;
  }
  const logger = createLogger({ destination: { write: (line) => terminal.note(line.trimEnd()) } });
  const why = { reason: reason ?? '', by: operator(), logger };
  const discarded = await metered(context, 'deleted', async (onProgress) => {
    return await discardDeadLetters(site.client, selection, { ...why, onProgress });
  });
  if (discarded === undefined) return exitCode.failed;
  const { letters, redriving } = discarded;
  const under =
    redriving === 0 ? '' : ` ${countText(redriving)} of them were under way, and may have been delivered.`;
  terminal.out(
    json ? JSON.stringify({ letters, redriving }) : `${countText(letters)} letters were deleted.${under}`,
  );
  return exitCode.ok;
}

function planLines({
  letters,
  redriving,
  groups,
}: Discarded & { readonly groups: readonly DeadLetterGroup[] }): string[] {
  const shown = groups.reduce((sum, each) => sum + each.letters, 0);
  return [
    ...groupLines(groups),
    ...(shown < letters ? [`${countText(letters - shown)} letters are of further groups.`] : []),
    `${countText(letters)} letters would be deleted.`,
    ...(redriving === 0 ? [] : [`${countText(redriving)} of them are under way, and may be delivered.`]),
    'Nothing was changed.',
  ];
}
