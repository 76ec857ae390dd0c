import type { Prelude, Target } from '../kill/kill-plan.ts';
import type { Patch } from '../patch/patch.ts';

/** A wrong program, made from the right one by its text: the harness must convict it. */
export interface Mutant {
  readonly name: string;
  /** What is wrong with it, in one sentence. */
  readonly about: string;
  /** How the fault shows: what the relay is to read. */
  readonly sources: 'wal' | 'table';
  /** Whether it shows in a sink into NATS, and of how many servers. Default: none is there. */
  readonly nats?: 0 | 1 | 3;
  /** How many kills show it in all likelihood. */
  readonly kills: number;
  /** How many of them follow upon a replica that is stopped past its lease. Default 0. */
  readonly freezes?: number;
  /** Where the relay is killed so that it shows, three times each. Default: nowhere, random kills show it. */
  readonly failpoints?: readonly string[];
  /** What becomes of later events of an entity with a dead letter, where it shows. Default `continue`. */
  readonly afterDeadLetter?: 'continue' | 'wait';
  /** Whether it shows only where replays, redrives and rewinds are ordered. Default false. */
  readonly operated?: boolean;
  /** What must go before a kill so that it shows; undefined: it shows at any. */
  readonly prelude?: Prelude;
  /** What every random kill must kill, alone, so that it shows; undefined: it shows at any. */
  readonly only?: Target;
  readonly patches: readonly Patch[];
}
