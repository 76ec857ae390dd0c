import { type DestinationStream, type Logger as Pino, pino } from 'pino';
import { sanitised } from './denylist.ts';
import type { LogEvent } from './log-events.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What is said with an event. Denied names (`payload`, `secret`, …) are removed: see denylist.ts. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging: one JSON line for each event, its name in the field `event`. */
export interface Logger {
  debug(event: LogEvent, fields?: LogFields): void;
  info(event: LogEvent, fields?: LogFields): void;
  warn(event: LogEvent, fields?: LogFields): void;
  error(event: LogEvent, fields?: LogFields): void;
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** Where the lines go. Default: standard output. */
  readonly destination?: DestinationStream;
}

/** Makes the logger of a process: JSON lines by pino, no worker threads, the level as a word, times as ISO text. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const settings = {
    level: options.level ?? 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(options.destination === undefined ? pino(settings) : pino(settings, options.destination));
}

/** Says nothing; for libraries and tests that were given no logger. */
export const silentLogger: Logger = createLogger({ level: 'silent' });

function wrap(inner: Pino): Logger {
  const line =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: LogEvent, fields?: LogFields): void => {
      if (!inner.isLevelEnabled(level)) return;
      inner[level]({ event, ...(sanitised(fields ?? {}) as object) });
    };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: (fields) => wrap(inner.child(sanitised(fields) as object)),
  };
}
