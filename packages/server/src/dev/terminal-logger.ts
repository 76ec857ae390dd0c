import type { Logger } from '@event-runtime/runtime';
import { renderError } from '../cli/render-error.ts';
import type { Terminal } from '../cli/terminal.ts';

/** A logger for people: warnings and errors as short lines, the rest left out. */
export function terminalLogger(terminal: Terminal): Logger {
  const { colors } = terminal;
  const say =
    (mark: string) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      // Attempts have lines of their own.
      if (event.startsWith('webhook.') && !('error' in fields)) return;
      const { error, ...rest } = fields;
      const facts = Object.entries(rest).map(([name, value]) => `${name}=${String(value)}`);
      terminal.note(`  ${mark} ${event} ${colors.dim(facts.join(' '))}`);
      if (error !== undefined) for (const line of renderError(error, terminal)) terminal.note(`    ${line}`);
    };
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: say(colors.yellow('!')),
    error: say(colors.red('✗')),
    child: () => logger,
  };
  return logger;
}
