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
        await service.start();
      }
      context.ready();
      await Promise.race([untilAborted(context.stopping), ...started.map((service) => service.finished)]);
    } finally {
      await this.#stopAll(started, context.aborted);
    }
  }

  /** One after another, so that a part never loses what it stands on; all of them at once when aborted. */
  async #stopAll(started: readonly Service[], aborted: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    for (const service of started.toReversed()) {
      const graceMs = aborted.aborted ? 0 : this.#graceMs;
      await service.stop({ graceMs }).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
