import { type CancelledRedrive, cancelRedrive, planCancel } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { changeOf, type GivenSelection } from './dead-letter-selection.ts';
import { metered } from './meter.ts';
import { countText } from './quantities.ts';
import { openSite } from './site.ts';

export interface DeadLettersCancelOptions extends GivenSettings, GivenSelection {
  readonly ids: readonly string[];
  /** Every letter is meant, where no condition is given. */
  readonly all: boolean;
  /** Show what would be taken back, and change nothing. */
  readonly dryRun: boolean;
}

/** `event-runtime dead-letters cancel`: takes back what `redrive` asked for. @throws ER4019, ER5001 */
export async function deadLettersCancelCommand(
  context: CommandContext,
  options: DeadLettersCancelOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const { dryRun } = options;
  const selection = changeOf(options);
  await using site = await openSite(context, options);
  const { client } = site;
  const cancelled = dryRun
    ? await planCancel(client, selection)
    : await metered(context, 'taken back', async (onProgress) => {
        return await cancelRedrive(client, selection, { onProgress });
      });
  if (cancelled === undefined) return exitCode.failed;
  if (json) terminal.out(JSON.stringify(cancelled));
  else for (const line of lines(cancelled, dryRun)) terminal.out(line);
  return exitCode.ok;
}

function lines({ letters, underWay, waiting }: CancelledRedrive, dryRun: boolean): string[] {
  return [
    `${countText(letters)} letters ${dryRun ? 'would be' : 'are'} dead again as before.`,
    ...(underWay === 0
      ? []
      : [
          `${countText(underWay)} are in a deliverer's hands, and go on: what is not delivered can be taken back then.`,
        ]),
    ...(waiting === 0
      ? []
      : [`${countText(waiting)} only waited behind another letter, and go on after it.`]),
    ...(dryRun ? ['Nothing was changed.'] : []),
  ];
}
