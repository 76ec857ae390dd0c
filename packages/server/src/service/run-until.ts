import type { Logger, Supervisor } from '@event-runtime/runtime';

/**
 * Runs a supervisor until the signal comes or it ends by itself.
 *
 * @throws what made it fail
 */
export async function runUntil(
  supervisor: Supervisor,
  options: { readonly signal: AbortSignal; readonly logger: Logger; readonly onReady?: () => Promise<void> },
): Promise<void> {
  const { signal, logger } = options;
  const stop = (): void => {
    logger.info('process.stopping');
    void supervisor.stop({ graceMs: 20_000 }).catch(() => undefined);
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    try {
      await supervisor.start();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (!signal.aborted) {
      logger.info('service.started');
      await options.onReady?.();
    }
    await supervisor.finished;
    logger.info('service.stopped');
  } catch (error) {
    logger.error('service.failed', { error });
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    await supervisor.stop().catch(() => undefined);
  }
}
