/** Where progress is shown; `process.stdout` fits. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Progress {
  /** Ends the line of a step. */
  readonly done: (problems: number) => void;
}

const frames = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠇'];

/**
 * Shows a step as it runs: on a terminal one line that moves, elsewhere one plain line when it has ended.
 */
export function showStep(label: string, output: Output): Progress {
  const started = performance.now();
  const seconds = (): string => `${((performance.now() - started) / 1_000).toFixed(1)} s`;
  let turn = 0;
  const draw = (): void => {
    output.write(`\r\u001b[K${frames[turn % frames.length] ?? ''} ${label} ${seconds()}`);
    turn += 1;
  };
  const timer = output.isTTY === true ? setInterval(draw, 100) : undefined;
  if (output.isTTY === true) draw();
  return {
    done(problems) {
      clearInterval(timer);
      const start = output.isTTY === true ? '\r\u001b[K' : '';
      output.write(`${start}${problems === 0 ? '✓' : '✗'} ${label} ${seconds()}\n`);
    },
  };
}
