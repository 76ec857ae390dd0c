import { setTimeout as sleep } from 'node:timers/promises';
import {
  planRedrive,
  type RedrivePlan,
  type RedriveProgress,
  type RequestedRedrive,
  redriveProgress,
  requestRedrive,
} from '@event-runtime/runtime';
import type pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { changeOf, type GivenSelection, operator } from './dead-letter-selection.ts';
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
}

/** Milliseconds between two looks. */
const lookMs = 250;

/** Seconds between two lines where lines cannot be redrawn. */
const plainSeconds = 5;

const meterWidth = 32;

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
  const asked = await requestRedrive(client, selection, { by: operator() });
  const text = askedText(asked);
  if (!options.wait || asked.letters === 0) {
    terminal.out(json ? JSON.stringify(jsonOf(asked)) : text);
    return exitCode.ok;
  }
  if (!json) terminal.note(text);
  const progress = await watch(context, { client, asked });
  const { redriving, dead } = progress;
  const over = { ...jsonOf(asked), redriving, dead, gone: asked.letters - redriving - dead };
  terminal.out(json ? JSON.stringify(over) : overText(over));
  return redriving + dead === 0 ? exitCode.ok : exitCode.failed;
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

function overText(over: { letters: number; gone: number; dead: number; redriving: number }): string {
  const { gone, dead, redriving } = over;
  return [
    `${countText(gone)} delivered or discarded`,
    ...(dead === 0 ? [] : [`${countText(dead)} dead again`]),
    ...(redriving === 0 ? [] : [`${countText(redriving)} still under way`]),
  ].join(', ');
}

async function watch(
  context: CommandContext,
  { client, asked }: { readonly client: pg.Client; readonly asked: RequestedRedrive },
): Promise<RedriveProgress> {
  const { terminal, signal } = context;
  const quiet = context.quiet === true || context.json;
  const began = performance.now();
  let progress = await redriveProgress(client, asked.redriveId);
  for (let nextPlain = plainSeconds; progress.redriving > 0 && !signal.aborted; ) {
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    progress = await look(signal, { client, asked, before: progress });
    if (quiet) continue;
    const seconds = (performance.now() - began) / 1_000;
    const text = redriveText(asked.letters, progress);
    if (terminal.interactive) terminal.redraw(`  ${text}`);
    else if (seconds >= nextPlain) {
      nextPlain = seconds + plainSeconds;
      terminal.note(`  ${text}`);
    }
  }
  if (!quiet) terminal.redraw('');
  return progress;
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

/** `━━━━──── 74 %  1,363/1,842  2 dead again` */
function redriveText(letters: number, { redriving, dead }: RedriveProgress): string {
  const done = Math.max(0, letters - redriving);
  const share = letters === 0 ? 1 : Math.min(1, done / letters);
  const full = Math.floor(share * meterWidth);
  return [
    `${'━'.repeat(full)}${'─'.repeat(meterWidth - full)} ${Math.floor(share * 100)} %`,
    `${countText(done)}/${countText(letters)}`,
    ...(dead === 0 ? [] : [`${countText(dead)} dead again`]),
  ].join('  ');
}
