import { setTimeout as sleep } from 'node:timers/promises';
import { getReplay, type Replay } from '@event-runtime/runtime';
import type pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import { countText, secondsText } from './quantities.ts';
import { hindranceText } from './replay-text.ts';

/** Milliseconds between two looks. */
const lookMs = 250;

/** Seconds between two lines where lines cannot be redrawn. */
const plainSeconds = 5;

const meterWidth = 32;

/** Shows how far a replay is, until it is over, or somebody pauses it, or the command is stopped. @returns it, as it was last seen */
export async function watchReplay(
  context: CommandContext,
  of: { readonly client: pg.Client; readonly replay: Replay },
): Promise<Replay> {
  const { terminal, signal } = context;
  const quiet = context.quiet === true || context.json;
  const began = performance.now();
  const first = of.replay.delivered + of.replay.rejected;
  let { replay } = of;
  for (let nextPlain = plainSeconds; replay.state === 'running' && !signal.aborted; ) {
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
    replay = await look(signal, { client: of.client, before: replay });
    const seconds = (performance.now() - began) / 1_000;
    const text = progressText(replay, { first, seconds });
    if (quiet || signal.aborted) continue;
    if (terminal.interactive) terminal.redraw(`  ${text}`);
    else if (seconds >= nextPlain) {
      nextPlain = seconds + plainSeconds;
      terminal.note(`  ${text}`);
    }
  }
  if (!quiet) terminal.redraw('');
  return replay;
}

/** Where it is; as before where the command was stopped, which ends the connection. */
async function look(
  signal: AbortSignal,
  at: { readonly client: pg.Client; readonly before: Replay },
): Promise<Replay> {
  if (signal.aborted) return at.before;
  try {
    return await getReplay(at.client, at.before);
  } catch (error) {
    if (signal.aborted) return at.before;
    throw error;
  }
}

/** `━━━━──── 74 %  1,363/1,842  198/s  3 s to go  2 rejected` */
export function progressText(
  replay: Pick<Replay, 'delivered' | 'rejected' | 'total' | 'sink' | 'waitsFor' | 'trouble'>,
  { first, seconds }: { readonly first: number; readonly seconds: number },
): string {
  const { delivered, rejected, total } = replay;
  const done = delivered + rejected;
  const hindrance = hindranceText(replay);
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(share * meterWidth);
  const rate = seconds > 0 ? (done - first) / seconds : 0;
  return [
    `${'━'.repeat(full)}${'─'.repeat(meterWidth - full)} ${Math.floor(share * 100)} %`,
    `${countText(done)}/${countText(total)}`,
    `${countText(Math.round(rate))}/s`,
    ...(rate > 0 && done < total ? [`${secondsText((total - done) / rate)} to go`] : []),
    ...(rejected === 0 ? [] : [`${countText(rejected)} rejected`]),
    ...(hindrance === undefined ? [] : [hindrance]),
  ].join('  ');
}
