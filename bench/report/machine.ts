import { availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';

/** Where a benchmark ran. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** The load average of one minute when the benchmark began: what else the machine was doing. */
  readonly load: number;
}

/** Reads this machine. */
export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${type()} ${release()}`,
    load: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}
