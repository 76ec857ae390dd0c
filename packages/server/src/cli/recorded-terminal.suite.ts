import { createColors } from 'picocolors';
import type { Terminal } from './terminal.ts';

/** A terminal that is none: without colours, 80 columns wide, and what is printed there is kept, line by line. */
export function recordedTerminal(): {
  readonly terminal: Terminal;
  readonly out: readonly string[];
  readonly notes: readonly string[];
} {
  const [out, notes] = [[] as string[], [] as string[]];
  const terminal: Terminal = {
    out: (line) => void out.push(line),
    note: (line) => void notes.push(line),
    redraw: () => undefined,
    interactive: false,
    columns: 80,
    colors: createColors(false),
  };
  return { terminal, out, notes };
}
