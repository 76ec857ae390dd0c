import type { LettersProgress } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { countText } from './quantities.ts';

/** Seconds between two lines where lines cannot be redrawn. */
const plainSeconds = 5;

const width = 32;

/** Shows how far something is: on a terminal in one line that is redrawn, elsewhere in a line now and then. */
export interface Meter extends Disposable {
  show(done: number, total: number, notes?: readonly string[]): void;
}

/** Ends its line at dispose. Shows nothing where a program reads, or quiet is wanted. */
export function openMeter({ terminal, quiet, json }: CommandContext): Meter {
  if (quiet === true || json) return { show: () => undefined, [Symbol.dispose]: () => undefined };
  let next = performance.now() + plainSeconds * 1_000;
  return {
    show: (done, total, notes = []) => {
      const text = `  ${meterText(done, total, notes)}`;
      if (terminal.interactive) terminal.redraw(text);
      else if (performance.now() >= next) {
        next = performance.now() + plainSeconds * 1_000;
        terminal.note(text);
      }
    },
    [Symbol.dispose]: () => terminal.redraw(''),
  };
}

/**
 * Runs work that is done piece by piece, and shows how far it is.
 *
 * @param past what has become of the letters that are done: `deleted`
 * @returns its outcome; undefined: the command was stopped in between, and that was said
 */
export async function metered<T>(
  context: CommandContext,
  past: string,
  work: (onProgress: LettersProgress) => Promise<T>,
): Promise<T | undefined> {
  const { terminal, signal, json } = context;
  const gone = { done: 0, total: 0 };
  try {
    using meter = openMeter(context);
    return await work((done, total) => {
      Object.assign(gone, { done, total });
      meter.show(done, total);
    });
  } catch (error) {
    if (!signal.aborted || gone.done === 0) throw error;
    const { done, total } = gone;
    terminal.out(
      json
        ? JSON.stringify({ stopped: true, done, total })
        : `Stopped: ${countText(done)} of ${countText(total)} letters were ${past}, and perhaps a few more.`,
    );
    return undefined;
  }
}

/** `━━━━──── 74 %  1,363/1,842  2 dead again` */
function meterText(done: number, total: number, notes: readonly string[]): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(share * width);
  return [
    `${'━'.repeat(full)}${'─'.repeat(width - full)} ${Math.floor(share * 100)} %`,
    `${countText(done)}/${countText(total)}`,
    ...notes,
  ].join('  ');
}
