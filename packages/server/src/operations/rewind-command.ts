import { previewRewind, rewindSink } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { nameOfSink } from '../config/configured-sink.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { countText } from './quantities.ts';
import { openSite } from './site.ts';

export interface SinkRewindCommandOptions extends GivenSettings {
  readonly sink: string;
  /** A time, a day, or `beginning`. */
  readonly to: string;
  /** Count, and change nothing. */
  readonly dryRun: boolean;
}

/** `event-runtime sinks rewind <name> --to <time>`. @throws ER1320, ER6001, ER6005 */
export async function sinkRewindCommand(
  context: CommandContext,
  options: SinkRewindCommandOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const { sink, to, dryRun } = options;
  await using site = await openSite(context, options);
  const { relay, shards, client } = site;
  if (sink === nameOfSink({ type: 'webhooks' })) {
    throw serverError('ER6005', {
      detail: `Sink ${sink} fans out to webhooks, each event once: read again, an event makes no delivery.`,
      remedy: `Make a replay: \`event-runtime replay create --sink ${sink} ${to === 'beginning' ? '--all' : `--from ${to}`}\`.`,
    });
  }
  const rewind = dryRun ? previewRewind : rewindSink;
  const { at, snapshot, events, unread } = await rewind(client, { relay, sink, to, shards });
  if (json) {
    terminal.out(JSON.stringify({ relay, sink, at, snapshot, events, unread, changed: !dryRun }));
    return exitCode.ok;
  }
  const place = at === null ? 'the beginning of the outbox' : `${at}, the last tick before`;
  const again = `${countText(events - unread)} events that it had, ${countText(unread)} that it had not`;
  if (dryRun) {
    terminal.out(`Sink ${sink} would go on from ${place}: ${again}.`);
    terminal.out('Nothing was changed.');
  } else terminal.out(`Sink ${sink} goes on from ${place}: ${again}.`);
  return exitCode.ok;
}
