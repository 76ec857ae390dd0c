import pc from 'picocolors';

/** Where a command writes, and what can be shown there. */
export interface Terminal {
  /** A line for the reader (or the program) that asked: standard output. */
  out(line: string): void;
  /** A line about the run itself: standard error. */
  note(line: string): void;
  /** Replaces what was written last by `redraw`: a line, or several. Only where `interactive`. */
  redraw(text: string): void;
  /** Whether standard error is a terminal that lines can be redrawn on. */
  readonly interactive: boolean;
  readonly columns: number;
  /** Colours of standard output; plain text where there shall be none. */
  readonly colors: ReturnType<typeof pc.createColors>;
}

/** A stream as far as a terminal needs it. */
interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/**
 * The terminal of a process. Colours: none with NO_COLOR (see no-color.org) or TERM=dumb, always with
 * FORCE_COLOR, else where standard output is a terminal.
 */
export function terminalOf(process: {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}): Terminal {
  const { stdout, stderr, env } = process;
  const dumb = env['TERM'] === 'dumb';
  const forced = isSet(env['FORCE_COLOR']) && env['FORCE_COLOR'] !== '0';
  const colored = !isSet(env['NO_COLOR']) && (forced || (stdout.isTTY === true && !dumb));
  const interactive = stderr.isTTY === true && !dumb;
  /** How many lines `redraw` has written. */
  let redrawn = 0;
  const erase = (): void => {
    stderr.write(`\r\u001b[2K${'\u001b[1A\u001b[2K'.repeat(Math.max(redrawn - 1, 0))}`);
    redrawn = 0;
  };
  const clear = (): void => {
    if (redrawn > 0) erase();
  };
  return {
    out(line) {
      clear();
      stdout.write(`${line}\n`);
    },
    note(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    redraw(text) {
      if (!interactive) return;
      erase();
      const lines = text === '' ? [] : text.split('\n');
      // A line that is broken by the terminal would be two, and one of them would stay.
      stderr.write(lines.map((line) => line.slice(0, (stderr.columns ?? 80) - 1)).join('\n'));
      redrawn = lines.length;
    },
    interactive,
    columns: stdout.columns ?? 80,
    colors: pc.createColors(colored),
  };
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}
