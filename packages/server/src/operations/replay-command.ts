import {
  createReplay,
  getReplay,
  listReplays,
  previewReplay,
  type Replay,
  type ReplayOptions,
  setReplayState,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { countText } from './quantities.ts';
import { hindranceText } from './replay-text.ts';
import { watchReplay } from './replay-watch.ts';
import { openSite, type Site } from './site.ts';
import { table } from './table.ts';

export interface ReplayCreateOptions extends GivenSettings {
  readonly sink: string;
  readonly tenant: string | undefined;
  readonly type: string | undefined;
  readonly key: string | undefined;
  readonly from: string | undefined;
  readonly before: string | undefined;
  readonly event: readonly string[];
  /** Events a second, as it was written. */
  readonly rate: string;
  /** Every event is meant, where no condition is given. */
  readonly all: boolean;
  /** Show how far it is, until it is over. */
  readonly wait: boolean;
  /** Count, and change nothing. */
  readonly dryRun: boolean;
}

export interface ReplayListOptions extends GivenSettings {
  readonly sink: string | undefined;
}

export interface ReplayShowOptions extends GivenSettings {
  readonly id: string;
  readonly wait: boolean;
}

export interface ReplayChangeOptions extends GivenSettings {
  readonly id: string;
  readonly state: 'running' | 'paused' | 'cancelled';
}

/** `event-runtime replay create`. @throws ER1320, ER5001, ER6001, ER6002 */
export async function replayCreateCommand(
  context: CommandContext,
  options: ReplayCreateOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const wanted = replayOf(options);
  await using site = await openSite(context, options);
  const { relay, shards, client } = site;
  const asked: ReplayOptions = { ...wanted, relay, shards };
  if (options.dryRun) {
    const preview = await previewReplay(client, asked);
    if (json) terminal.out(JSON.stringify({ relay, ...wanted, ...preview }));
    else {
      terminal.out(
        `${countText(preview.total)} events would be handed to sink ${options.sink} once more${between(preview)}.`,
      );
      terminal.out('Nothing was changed.');
    }
    return exitCode.ok;
  }
  const replay = await createReplay(client, asked);
  if (!options.wait) return shown(context, { replay, text: madeText(replay) });
  if (!json) terminal.note(madeText(replay));
  return await waitFor(context, { site, replay });
}

/** `event-runtime replay list`. */
export async function replayListCommand(
  context: CommandContext,
  options: ReplayListOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  await using site = await openSite(context, options);
  const { sink } = options;
  const replays = await listReplays(site.client, {
    relay: site.relay,
    ...(sink === undefined ? {} : { sink }),
  });
  if (json) {
    terminal.out(JSON.stringify({ relay: site.relay, replays }));
    return exitCode.ok;
  }
  if (replays.length === 0) {
    terminal.out('There is no replay yet. `event-runtime replay create --dry-run` counts what one would be.');
    return exitCode.ok;
  }
  const rows = replays.map((each) => [
    each.id,
    each.sink,
    each.state,
    `${countText(each.delivered)}/${countText(each.total)}`,
    each.rejected === 0 ? '' : countText(each.rejected),
    `${countText(each.eventsPerSecond)}/s`,
    hindranceOf(each) ?? '',
  ]);
  for (const line of table(['id', 'sink', 'state', 'delivered', 'rejected', 'rate', 'in the way'], rows))
    terminal.out(line);
  return exitCode.ok;
}

/** `event-runtime replay show`. @throws ER6003 */
export async function replayShowCommand(
  context: CommandContext,
  options: ReplayShowOptions,
): Promise<ExitCode> {
  await using site = await openSite(context, options);
  const replay = await getReplay(site.client, { relay: site.relay, id: options.id });
  if (options.wait) return await waitFor(context, { site, replay });
  return shown(context, { replay, text: stateText(replay) });
}

/** `event-runtime replay pause|resume|cancel`. @throws ER6003, ER6004 */
export async function replayChangeCommand(
  context: CommandContext,
  options: ReplayChangeOptions,
): Promise<ExitCode> {
  await using site = await openSite(context, options);
  const { id, state } = options;
  const { replay, changed } = await setReplayState(site.client, { relay: site.relay, id, state });
  const text = `${changed ? 'Now' : 'Already'}: ${stateText(replay)}`;
  return shown(context, { replay, text });
}

/** @throws ER5001, ER6001 */
function replayOf(options: ReplayCreateOptions): Omit<ReplayOptions, 'relay' | 'shards'> {
  const { sink, tenant, type, key, from, before, event, rate, all } = options;
  const selection = {
    ...(tenant === undefined ? {} : { tenant }),
    ...(type === undefined ? {} : { type }),
    ...(key === undefined ? {} : { entityKey: key }),
    ...(from === undefined ? {} : { from }),
    ...(before === undefined ? {} : { before }),
    ...(event.length === 0 ? {} : { eventIds: event }),
  };
  if (Object.keys(selection).length === 0 && !all) {
    throw serverError('ER6001', {
      detail: 'No condition was given.',
      remedy:
        'Give --tenant, --type, --key, --from, --before or --event; or --all for every event of the outbox.',
    });
  }
  if (Object.keys(selection).length > 0 && all) {
    throw serverError('ER6001', {
      detail: '--all was given beside conditions.',
      remedy: 'Leave out the one or the other.',
    });
  }
  if (!/^\d{1,7}$/.test(rate)) {
    throw serverError('ER6001', {
      detail: `The rate must be 1 to 1000000 events a second, and is ${JSON.stringify(rate)}.`,
    });
  }
  return { sink, selection, eventsPerSecond: Number(rate) };
}

async function waitFor(
  context: CommandContext,
  { site, replay }: { readonly site: Site; readonly replay: Replay },
): Promise<ExitCode> {
  const last = await watchReplay(context, { client: site.client, replay });
  const stopped = context.signal.aborted && last.state === 'running';
  const rest = stopped ? `\nIt goes on: \`event-runtime replay cancel ${last.id}\` ends it.` : '';
  shown(context, { replay: last, text: `${stateText(last)}${rest}` });
  return last.state === 'done' && last.rejected === 0 ? exitCode.ok : exitCode.failed;
}

function shown(
  { terminal, json }: CommandContext,
  { replay, text }: { readonly replay: Replay; readonly text: string },
): ExitCode {
  terminal.out(json ? JSON.stringify(replay) : text);
  return exitCode.ok;
}

/** Of one that runs: what was in the way of one that is paused or over is of no interest. */
function hindranceOf(replay: Replay): string | undefined {
  return replay.state === 'running' ? hindranceText(replay) : undefined;
}

function madeText(replay: Replay): string {
  const { id, sink, total, eventsPerSecond } = replay;
  if (total === 0) return `No event matches: replay ${id} is done.`;
  const hindrance = hindranceOf(replay);
  const yet = hindrance === undefined ? '' : `\nIt does not begin yet: ${hindrance}.`;
  return `Replay ${id}: ${countText(total)} events for sink ${sink}, at most ${countText(eventsPerSecond)} a second.${yet}`;
}

function stateText(replay: Replay): string {
  const { id, sink, state, delivered, rejected, total } = replay;
  const dead = rejected === 0 ? '' : `, ${countText(rejected)} rejected (dead letters)`;
  const missing = state === 'done' ? total - delivered - rejected : 0;
  const gone = missing > 0 ? `, ${countText(missing)} not in the outbox any more` : '';
  const hindrance = hindranceOf(replay);
  const why = hindrance === undefined ? '' : `; ${hindrance}`;
  return `Replay ${id} for sink ${sink} is ${state}: ${countText(delivered)} of ${countText(total)} delivered${dead}${gone}${why}.`;
}

function between({
  oldest,
  newest,
}: {
  readonly oldest: string | null;
  readonly newest: string | null;
}): string {
  return oldest === null ? '' : `, recorded from ${oldest} to ${newest}`;
}
