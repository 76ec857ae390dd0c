import type { Patch } from '../patch/patch.ts';

interface Named {
  readonly name: string;
  /** What is wrong with it, in one sentence. */
  readonly about: string;
}

/** A wrong program, made from the right one by its text: the harness must convict it. */
export interface ReadyMutant extends Named {
  readonly state: 'ready';
  /** How the fault shows: what the relay is to read. */
  readonly sources: 'wal' | 'table';
  readonly patches: readonly Patch[];
}

/** A mutant of code, or of a way to see it, that is not there yet. The command refuses to run it. */
export interface PlannedMutant extends Named {
  readonly state: 'planned';
  readonly missing: string;
}

export type Mutant = ReadyMutant | PlannedMutant;
