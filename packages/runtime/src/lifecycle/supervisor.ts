import { orAborted } from '../internal/or-aborted.ts';
import { type RunContext, Service } from './service.ts';

/**
 * Starts services in order and stops them in the reverse order. When one of them ends by itself or fails,
 * the others are stopped and the supervisor ends in the same way.
 */
export class Supervisor extends Service {
  readonly #services: readonly Service[];
  readonly #graceMs: number;

  constructor(
    services: readonly Service[],
    options: { readonly name?: string; readonly graceMs?: number } = {},
  ) {
    super(options.name ?? 'supervisor');
    this.#services = services;
    this.#graceMs = options.graceMs ?? 8_000;
  }

  protected override async run(context: RunContext): Promise<void> {
    const started: Service[] = [];
    try {
      for (const service of this.#services) {
        if (context.stopping.aborted) return;
        started.push(service);
        // A start may last: the relay waits for its database, and for another relay to let go of the slot.
        const ready = service.start().then(() => 'ready' as const);
        if ((await Promise.race([ready, over(context.stopping, started)])) !== 'ready') return;
      }
      context.ready();
      await over(context.stopping, started);
    } finally {
      await this.#stopAll(started, context.aborted);
    }
  }

  /** One after another, so that a part never loses what it stands on; all of them at once when aborted. */
  async #stopAll(started: readonly Service[], aborted: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    const stop = async (service: Service, graceMs: number): Promise<void> => {
      await service.stop({ graceMs }).catch((error: unknown) => failures.push(error));
    };
    const stopNow = (): void => {
      for (const service of started) void stop(service, 0);
    };
    aborted.addEventListener('abort', stopNow, { once: true });
    if (aborted.aborted) stopNow();
    for (const service of started.toReversed()) await stop(service, this.#graceMs);
    aborted.removeEventListener('abort', stopNow);
    if (failures.length > 0) throw failures[0];
  }
}

/** Resolves when the supervisor is to stop or one of the services has ended, rejects when one has failed. */
async function over(stopping: AbortSignal, services: readonly Service[]): Promise<void> {
  await orAborted(Promise.race(services.map((service) => service.finished)), stopping);
}
