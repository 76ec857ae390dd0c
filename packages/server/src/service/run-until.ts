import { once } from 'node:events';
import type { Logger, Supervisor } from '@event-runtime/runtime';

/** Longer than the parts may take one after another as a rule; container platforms give 30 seconds in all. */
const stopGraceMs = 20_000;

export interface RunUntilOptions {
  /** Stops the supervisor, at whatever point it is. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Called once everything runs. What it throws ends the supervisor. */
  readonly onReady?: () => Promise<void>;
  /** Milliseconds that work under way may take after the signal. Default 20,000. */
  readonly graceMs?: number;
}

/**
 * Runs a supervisor until the signal comes or it ends by itself.
 *
 * @throws what made it fail; ER9002 when it does not stop in time (parts of it then still run)
 */
export async function runUntil(supervisor: Supervisor, options: RunUntilOptions): Promise<void> {
  const { signal, logger, graceMs = stopGraceMs } = options;
  const stuck = new AbortController();
  const late = rejectedBy(stuck.signal);
  const stop = (): void => {
    logger.info('process.stopping');
    supervisor.stop({ graceMs }).catch((error: unknown) => stuck.abort(error));
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    await Promise.race([started(supervisor, signal), late]);
    if (!signal.aborted) {
      logger.info('service.started');
      await options.onReady?.();
    }
    await Promise.race([supervisor.finished, late]);
    logger.info('service.stopped');
  } catch (error) {
    logger.error('service.failed', { error });
    await Promise.race([supervisor.stop({ graceMs }), late]).catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Rejects with the signal's reason; nobody need look. */
function rejectedBy(signal: AbortSignal): Promise<never> {
  const rejected = once(signal, 'abort').then((): never => {
    throw signal.reason as Error;
  });
  rejected.catch(() => undefined);
  return rejected;
}

/** Stopped before it was ready, it is no failure here: `finished` says how it ended. */
async function started(supervisor: Supervisor, signal: AbortSignal): Promise<void> {
  try {
    await supervisor.start();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
