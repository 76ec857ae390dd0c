import { relayReport, type SinkPause, setSinkPaused, sinkPauses } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { nearestName } from '../config/nearest-name.ts';
import { serverError } from '../server-error.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { openSite } from './site.ts';
import { table } from './table.ts';

export interface SinkPauseCommandOptions extends GivenSettings {
  readonly sink: string;
  readonly paused: boolean;
  /** Say what would change, and change nothing. */
  readonly dryRun: boolean;
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
  const { sink, paused, dryRun } = options;
  await using site = await openSite(context, options);
  const parts = await sinkPauses(site.client, site.relay);
  const unknown = unknownSink(sink, { relay: site.relay, parts });
  if (!parts.some((part) => part.sink === sink)) throw unknown;
  const wouldChange = parts.some((part) => part.sink === sink && part.paused !== paused);
  const changed = dryRun ? false : await setSinkPaused(site.client, { relay: site.relay, sink, paused });
  if (changed === undefined) throw unknown;
  if (json) {
    const told = { relay: site.relay, sink, paused, changed };
    terminal.out(JSON.stringify(dryRun ? { ...told, wouldChange } : told));
    return exitCode.ok;
  }
  const state = paused
    ? 'paused: events wait for it in the outbox, and the others go on'
    : 'not paused: it goes on where it was';
  if (!dryRun) terminal.out(`Sink ${sink} is ${changed ? 'now' : 'already'} ${state}.`);
  else {
    terminal.out(`Sink ${sink} ${wouldChange ? 'would be' : 'is already'} ${state}.`);
    terminal.out('Nothing was changed.');
  }
  return exitCode.ok;
}

function unknownSink(
  sink: string,
  { relay, parts }: { readonly relay: string; readonly parts: readonly SinkPause[] },
): Error {
  const names = [...new Set(parts.map((part) => part.sink))];
  const near = nearestName(sink, names);
  return serverError('ER1320', {
    detail: `It is ${JSON.stringify(sink)}; relay ${relay} has ${names.length === 0 ? 'no sink yet' : names.join(', ')}.`,
    ...(near === undefined ? {} : { remedy: `Did you mean ${near}?` }),
  });
}
