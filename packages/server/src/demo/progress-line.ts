import type { Terminal } from '../cli/terminal.ts';
import type { DemoProgress } from './run-demo.ts';

/** Seconds between two lines where lines cannot be redrawn. */
const plainSeconds = 5;

/** Shows where a run stands: one line that is redrawn on a terminal, else a plain line every few seconds. */
export class ProgressLine {
  readonly #terminal: Terminal;
  #nextPlainAt = plainSeconds;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(progress: DemoProgress): void {
    if (this.#terminal.interactive) {
      this.#terminal.redraw(`  ${meter(progress.received / progress.events, 24)} ${text(progress)}`);
      return;
    }
    if (progress.seconds < this.#nextPlainAt) return;
    this.#nextPlainAt = progress.seconds + plainSeconds;
    this.#terminal.note(`  ${text(progress)}`);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    this.#terminal.redraw('');
  }
}

function text(progress: DemoProgress): string {
  const { events, committedEvents, received, kills, seconds } = progress;
  const parts = [
    `${committedEvents}/${events} committed`,
    `${received} received`,
    `${Math.max(0, committedEvents - received)} on the way`,
    ...(kills === 0 ? [] : [`${kills} kills`]),
    `${Math.floor(seconds)} s`,
  ];
  return parts.join(' · ');
}

function meter(share: number, width: number): string {
  const full = Math.min(width, Math.max(0, Math.round(share * width)));
  return '━'.repeat(full) + '─'.repeat(width - full);
}
