import type { Terminal } from './terminal.ts';

/** What every command is given. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Comes with the first Ctrl-C or SIGTERM: stop, clean up, return. */
  readonly signal: AbortSignal;
  /** Whether a program reads: one JSON object at the end on standard output, nothing else there. */
  readonly json: boolean;
  /** Whether only results, warnings and errors are wanted, and not how far it has come. Default false. */
  readonly quiet?: boolean;
}
