import type { Figure } from '../measure/figure.ts';
import type { Machine } from './machine.ts';

/** What a benchmark answers; `--json` prints it as one object. */
export interface BenchReport {
  readonly figures: readonly Figure[];
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly settings: Readonly<Record<string, string | number>>;
  /** A sentence for each part that broke off and has no figures; not printed with the rest. Default: none. */
  readonly failures?: readonly string[];
}

/** What the command line gives to a benchmark. */
export interface BenchRequest {
  /** Default: the benchmark's own, which its settings tell. */
  readonly runs?: number;
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
  /** The ids of its figures, where `--only` may choose among them. Default: it may not. */
  readonly ids?: readonly string[];
  run(request: BenchRequest): Promise<BenchReport>;
}
