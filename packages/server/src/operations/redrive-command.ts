import { setTimeout as sleep } from 'node:timers/promises';
import {
  planRedrive,
  type RedriveObstacles,
  type RedrivePlan,
  type RedriveProgress,
  type RequestedRedrive,
  redriveObstacles,
  redriveProgress,
  requestRedrive,
} from '@event-runtime/runtime';
import type pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { visibleText } from '../cli/visible-text.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { changeOf, type GivenSelection, operator } from './dead-letter-selection.ts';
import { metered, openMeter } from './meter.ts';
import { countText } from './quantities.ts';
import { openSite } from './site.ts';

export interface DeadLettersRedriveOptions extends GivenSettings, GivenSelection {
  readonly ids: readonly string[];
  /** Every letter is meant, where no condition is given. */
  readonly all: boolean;
  /** Say what would be done and what can be known of it, and change nothing. */
  readonly dryRun: boolean;
  /** Show how far it is, until it is over. */
  readonly wait: boolean;
  /** Also letters of relays that do not run, or have no such sink any more: they are this relay's from now on. */
  readonly takeOver: boolean;
}

/** Milliseconds between two looks. */
const lookMs = 250;

/** So long nothing may have moved before it is asked why. Milliseconds. */
const stillMs = 2_000;

/**
 * `event-runtime dead-letters redrive`: asks that letters be handed over again.
 *
 * @returns with `--wait` 1 where one of them died again, or it was not over when the command was stopped
 * @throws ER4019, ER4020, ER4021, ER5001
 */
export async function deadLettersRedriveCommand(
  context: CommandContext,
  options: DeadLettersRedriveOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const selection = changeOf(options);
  await using site = await openSite(context, options);
  const { client } = site;
  if (options.dryRun) {
    const plan = await planRedrive(client, selection);
    if (json) terminal.out(JSON.stringify(plan));
    else for (const line of [...planLines(plan), 'Nothing was changed.']) terminal.out(line);
    return exitCode.ok;
  }
  const asked = await metered(context, 'asked for', async (onProgress) => {
    const { takeOver } = options;
    return await requestRedrive(client, selection, {
      by: operator(),
      relay: site.relay,
      takeOver,
      onProgress,
    });
  });
  if (asked === undefined) return exitCode.failed;
  const text = askedText(asked);
  if (!options.wait || asked.letters === 0) {
    const waitsFor = await redriveObstacles(client, asked.redriveId);
    if (json) terminal.out(JSON.stringify({ ...jsonOf(asked), waitsFor }));
    else for (const line of [text, ...obstacleLines(waitsFor)]) terminal.out(line);
    return exitCode.ok;
  }
  if (!json) terminal.note(text);
  const progress = await watch(context, { client, asked });
  const { redriving, dead, cancelled } = progress;
  const gone = asked.letters - redriving - dead - cancelled;
  const over = { ...jsonOf(asked), redriving, dead, cancelled, gone };
  terminal.out(json ? JSON.stringify(over) : overText(over));
  return redriving + dead + cancelled === 0 ? exitCode.ok : exitCode.failed;
}

function jsonOf({
  redriveId,
  letters,
  plan,
}: RequestedRedrive): Record<string, unknown> & { letters: number } {
  const { underWay, lost, endpointGone, endpointDisabled } = plan;
  return { redriveId, letters, underWay, lost, endpointGone, endpointDisabled };
}

/** What would be done, and what can be known of it. */
function planLines(plan: RedrivePlan): string[] {
  const { letters, entities, withoutEntity, newerEvents, newerPending } = plan;
  const free = withoutEntity === 0 ? '' : `, and ${countText(withoutEntity)} without an entity`;
  const lines = [
    `${countText(letters)} letters would be handed over again: of ${countText(entities)} entities${free}.`,
  ];
  if (newerEvents === null) {
    lines.push(
      'Whether newer events of these entities are in the outbox was not counted: there is too much in it.',
    );
  } else if (newerEvents > 0) {
    lines.push(
      `${countText(newerEvents)} newer events of these entities are in the outbox, other letters among them. Receivers may have them already, and get the older ones after them: compare seq.`,
    );
  }
  if (newerPending > 0)
    lines.push(`${countText(newerPending)} newer webhook deliveries are pending: they come after.`);
  return [...lines, ...restLines(plan)];
}

/** What of the selection is not handed over, and why. */
function restLines({ underWay, lost, endpointGone, endpointDisabled }: RedrivePlan): string[] {
  const facts: ReadonlyArray<readonly [number, string]> = [
    [underWay, 'under way already'],
    [endpointGone, 'not possible: their endpoint was removed (ER4020)'],
    [lost, 'not possible: their event was gone before they were kept (ER4021)'],
    [endpointDisabled, 'to wait until their endpoint is enabled'],
  ];
  return facts.flatMap(([count, what]) => (count === 0 ? [] : [`${countText(count)}: ${what}.`]));
}

function askedText({ letters, plan }: RequestedRedrive): string {
  return [`${countText(letters)} letters are handed over again.`, ...restLines(plan)].join('\n');
}

function overText({ gone, dead, redriving, cancelled }: RedriveProgress & { readonly gone: number }): string {
  return [
    `${countText(gone)} delivered or discarded`,
    ...endedLines({ redriving, dead, cancelled }),
    ...(redriving === 0 ? [] : [`${countText(redriving)} still under way`]),
  ].join(', ');
}

function endedLines({ dead, cancelled }: RedriveProgress): string[] {
  return [
    ...(dead === 0 ? [] : [`${countText(dead)} dead again`]),
    ...(cancelled === 0 ? [] : [`${countText(cancelled)} taken back`]),
  ];
}

/** No more letters are looked at. */
function lookedAt(count: number): string {
  return countText(count, 10_000);
}

/** What letters wait for that nobody does for them. */
function obstacleLines(obstacles: RedriveObstacles): string[] {
  const { behind, behindLetter, endpointDisabled, paused, unfed } = obstacles;
  return [
    ...(behind === 0
      ? []
      : [
          `${lookedAt(behind)} have an older dead letter of their entity: with afterDeadLetter 'wait' they come after it. Redrive or discard it; the oldest is ${behindLetter}.`,
        ]),
    ...(endpointDisabled === 0
      ? []
      : [`${lookedAt(endpointDisabled)} wait until their endpoint is enabled.`]),
    ...paused.map((sink) => `Sink ${visibleText(sink)} is paused: its letters wait until it is resumed.`),
    ...unfed.map(
      (sink) =>
        `The relay of sink ${visibleText(sink)} does not run, or has no such sink now: its letters wait for it. If it is gone for good, --take-over gives them to the relay that you ask.`,
    ),
  ];
}

async function watch(
  context: CommandContext,
  of: { readonly client: pg.Client; readonly asked: RequestedRedrive },
): Promise<RedriveProgress> {
  const { signal } = context;
  const { letters } = of.asked;
  using meter = openMeter(context);
  let progress: RedriveProgress = { redriving: letters, dead: 0, cancelled: 0 };
  progress = await look(signal, { ...of, before: progress });
  const still = { since: performance.now(), redriving: progress.redriving };
  const said = new Set<string>();
  while (progress.redriving > 0 && !signal.aborted) {
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    progress = await look(signal, { ...of, before: progress });
    meter.show(Math.max(0, letters - progress.redriving), letters, endedLines(progress));
    if (progress.redriving !== still.redriving) {
      Object.assign(still, { since: performance.now(), redriving: progress.redriving });
    } else if (performance.now() - still.since > stillMs) {
      still.since = performance.now();
      await sayWhy(context, { ...of, said });
    }
  }
  return progress;
}
/** Each thing once. */
async function sayWhy(
  context: CommandContext,
  {
    client,
    asked,
    said,
  }: { readonly client: pg.Client; readonly asked: RequestedRedrive; readonly said: Set<string> },
): Promise<void> {
  if (context.quiet === true || context.json || context.signal.aborted) return;
  try {
    const lines = obstacleLines(await redriveObstacles(client, asked.redriveId));
    for (const line of lines.filter((each) => !said.has(each))) context.terminal.note(line);
    for (const line of lines) said.add(line);
  } catch (error) {
    if (!context.signal.aborted) throw error;
  }
}

/** Where it is; as before where the command was stopped, which ends the connection. */
async function look(
  signal: AbortSignal,
  at: { readonly client: pg.Client; readonly asked: RequestedRedrive; readonly before: RedriveProgress },
): Promise<RedriveProgress> {
  if (signal.aborted) return at.before;
  try {
    return await redriveProgress(at.client, at.asked.redriveId);
  } catch (error) {
    if (signal.aborted) return at.before;
    throw error;
  }
}
