import type { Figure } from '../measure/figure.ts';
import type { Machine } from './machine.ts';

/** What a benchmark answers; `--json` prints it as one object. */
export interface BenchReport {
  readonly figures: readonly Figure[];
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, string | number>>;
}

/** What the command line gives to a benchmark. */
export interface BenchRequest {
  readonly runs: number;
  /** How many events, for a benchmark that takes so many; default: its own. */
  readonly events?: number;
  /** Beginnings of the ids of the figures that are wanted; default: all. Others may come along with them. */
  readonly only?: readonly string[];
  readonly progress: (line: string) => void;
}

/** A benchmark that `npm run bench -- <name>` runs. */
export interface Bench {
  readonly name: string;
  readonly about: string;
  run(request: BenchRequest): Promise<BenchReport>;
}
