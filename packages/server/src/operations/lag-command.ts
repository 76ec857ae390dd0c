import { setTimeout as sleep } from 'node:timers/promises';
import { type RelayReport, relayReport } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { plot } from './lag-plot.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { openSite, type Site } from './site.ts';

export interface LagOptions extends GivenSettings {
  /** Milliseconds between two looks. Default 1,000. */
  readonly intervalMs?: number;
}

/** How far unread events are counted: further than `status` does, for this is watched. */
const unreadCap = 100_000;

/** What is watched, over time. */
interface Watched {
  readonly name: string;
  readonly label: (value: number) => string;
  readonly values: Array<number | null>;
  /** In words, now. */
  now: string;
}

/** `event-runtime lag`: what each sink has yet to read, and the slot, again and again until Ctrl-C; with `--json` once. */
export async function lagCommand(context: CommandContext, options: LagOptions): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  await using site = await openSite(context, options);
  if (json) {
    terminal.out(JSON.stringify(lagOf(await look(site))));
    return exitCode.ok;
  }
  const watched = new Map<string, Watched>();
  while (!signal.aborted) {
    try {
      note(watched, { report: await look(site), source: site.source });
    } catch (error) {
      // Ctrl-C also ends the connection.
      if (signal.aborted) break;
      throw error;
    }
    if (terminal.interactive) terminal.redraw(frame(watched, terminal).join('\n'));
    else terminal.out(line(watched));
    await sleep(options.intervalMs ?? 1_000, undefined, { signal }).catch(() => undefined);
  }
  return exitCode.ok;
}

async function look({ client, relay, slot, shards }: Site): Promise<RelayReport> {
  return await relayReport(client, { relay, slot, shards, unreadCap });
}

/** What `--json` prints. */
function lagOf({ at, relay, slot, sinks }: RelayReport): object {
  return {
    at,
    relay,
    slot: {
      condition: slot.condition,
      flushLagBytes: slot.flushLagBytes,
      restartLagBytes: slot.restartLagBytes,
    },
    sinks: sinks.map(
      ({ sink, shard, mode, paused, unreadEvents, oldestUnreadSeconds, positionLagBytes }) => ({
        sink,
        shard,
        mode,
        paused,
        unreadEvents,
        oldestUnreadSeconds,
        positionLagBytes,
      }),
    ),
  };
}

function note(
  watched: Map<string, Watched>,
  { report, source }: { readonly report: RelayReport; readonly source: 'wal' | 'table' },
): void {
  const add = (name: string, value: number | null, how: Pick<Watched, 'label' | 'now'>): void => {
    const one = watched.get(name) ?? { name, label: how.label, values: [], now: '' };
    one.values.push(value);
    if (one.values.length > 1_000) one.values.shift();
    one.now = how.now;
    watched.set(name, one);
  };
  for (const { sink, shard, unreadEvents, oldestUnreadSeconds, mode, paused } of report.sinks) {
    const count = unreadEvents === null ? '?' : countText(unreadEvents, unreadCap);
    const age =
      unreadEvents === 0 || oldestUnreadSeconds === null
        ? ''
        : `, the oldest for ${secondsText(oldestUnreadSeconds)}`;
    add(`sink ${sink}${shard === 0 ? '' : `/${shard}`}, unread events`, unreadEvents, {
      label: (value) => Math.round(value).toLocaleString('en-US'),
      now: `${count}${age} (${paused ? 'paused' : mode})`,
    });
  }
  if (source !== 'wal') return;
  const { flushLagBytes, condition, name } = report.slot;
  add(`slot ${name}, WAL not confirmed`, flushLagBytes, {
    label: bytesText,
    now: flushLagBytes === null ? condition : `${bytesText(flushLagBytes)} (${condition})`,
  });
}

function frame(watched: ReadonlyMap<string, Watched>, { columns }: Terminal): string[] {
  const width = Math.max(20, Math.min(columns - 14, 120));
  const lines = [...watched.values()].flatMap(({ name, label, values, now }) => [
    // No colours: a line that is too long is cut, and the end of its colour with it.
    `${name}  ${now}`,
    ...plot(values, { width, height: 4, label }),
    '',
  ]);
  return [...lines, 'Ctrl-C ends it.'];
}

function line(watched: ReadonlyMap<string, Watched>): string {
  const time = new Date().toISOString().slice(11, 19);
  return [time, ...[...watched.values()].map(({ name, now }) => `${name}: ${now}`)].join('  ');
}
