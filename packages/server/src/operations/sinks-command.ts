import { relayReport, setSinkPaused } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { openSite } from './site.ts';
import { table } from './table.ts';

export interface SinkPauseCommandOptions extends GivenSettings {
  readonly sink: string;
  readonly paused: boolean;
}

/** `event-runtime sinks list`: the sinks that the relay has run with, and where each is. */
export async function sinksListCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { terminal, json } = context;
  await using site = await openSite(context, given);
  const { sinks } = await relayReport(site.client, {
    relay: site.relay,
    slot: site.slot,
    shards: site.shards,
  });
  if (json) {
    terminal.out(JSON.stringify({ relay: site.relay, sinks }));
    return exitCode.ok;
  }
  if (sinks.length === 0) {
    terminal.out(`Relay ${site.relay} has not run with a sink yet.`);
    return exitCode.ok;
  }
  const rows = sinks.map((each) => [
    each.shard === 0 ? each.sink : `${each.sink}/${each.shard}`,
    each.mode,
    each.paused ? 'yes' : 'no',
    each.unreadEvents === null ? '?' : countText(each.unreadEvents, 10_000),
    each.unreadEvents === 0 || each.oldestUnreadSeconds === null ? '' : secondsText(each.oldestUnreadSeconds),
    each.positionLagBytes === null ? '' : bytesText(each.positionLagBytes),
    each.gappedEvents === 0 ? '' : countText(each.gappedEvents),
  ]);
  const heading = ['sink', 'reads', 'paused', 'unread', 'oldest', 'WAL behind', 'dropped unread'];
  for (const line of table(heading, rows)) terminal.out(line);
  return exitCode.ok;
}

/** `event-runtime sinks pause|resume <name>`. @throws ER1320 the relay knows no such sink */
export async function sinkPauseCommand(
  context: CommandContext,
  options: SinkPauseCommandOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const { sink, paused } = options;
  await using site = await openSite(context, options);
  const changed = await setSinkPaused(site.client, { relay: site.relay, sink, paused });
  if (json) {
    terminal.out(JSON.stringify({ relay: site.relay, sink, paused, changed }));
  } else {
    const state = paused
      ? 'paused: events wait for it in the outbox, and the others go on'
      : 'not paused: it goes on where it was';
    terminal.out(`Sink ${sink} is ${changed ? 'now' : 'already'} ${state}.`);
  }
  return exitCode.ok;
}
