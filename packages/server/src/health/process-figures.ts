import { monitorEventLoopDelay } from 'node:perf_hooks';

/** What a process says of itself. */
export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** Seconds since 1970. */
  readonly startedAtSeconds: number;
  readonly loopLagSeconds: number;
}

const resolutionMs = 20;

/** Measures this process, from when it is made until it is disposed. */
export class ProcessMeter implements Disposable {
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #startedAtSeconds = Date.now() / 1_000 - process.uptime();

  constructor() {
    this.#delay.enable();
  }

  /** The figures now; the lag of the event loop since they were read before. */
  read(): ProcessFigures {
    const { user, system } = process.cpuUsage();
    // What is measured is the time between two turns of a timer, which is its interval and the lag.
    const lagSeconds = (this.#delay.percentile(99) / 1e6 - resolutionMs) / 1e3;
    this.#delay.reset();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      startedAtSeconds: this.#startedAtSeconds,
      loopLagSeconds: Math.max(lagSeconds, 0) || 0,
    };
  }

  [Symbol.dispose](): void {
    this.#delay.disable();
  }
}
