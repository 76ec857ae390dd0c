import { type SeededRandom, seededRandom } from '@event-runtime/runtime/testing';
import { type Provocation, provocationFor } from './provocation.ts';

export type Target = 'relay' | 'postgres' | 'receiver' | 'nats';

/** One or several processes, at a moment of chance. */
export interface RandomKill {
  readonly type: 'random';
  readonly targets: readonly Target[];
  /** True: shortly after the last restart; else only once events have come again since then. */
  readonly early: boolean;
  /** Milliseconds to wait before it. */
  readonly afterMs: number;
  /**
   * What goes before it. `stuck`: the webhooks cannot be fanned out for a while, so that the relay holds events that
   * are not delivered. `held`: every sink joins the WAL while commits are in it that are not visible. `relaxed`: no COMMIT waits for the disk and the file
   * sink has just been given events, so that the server may lose what was handed over.
   */
  readonly prelude: Prelude;
}

export type Prelude = 'none' | 'stuck' | 'held' | 'relaxed';

/** The process with the failpoint, at a statement of its own. */
export interface FailpointKill {
  readonly type: 'failpoint';
  readonly failpoint: string;
  /** At which pass since it was armed; 1 is the first. */
  readonly pass: number;
  /** Milliseconds to wait before it is armed. */
  readonly afterMs: number;
  /** What makes sure that it is reached. */
  readonly provocation: Provocation;
}

/** The relay is stopped past its lease, and continued beside the replica that took over; then that one is killed. */
export interface Freeze {
  readonly type: 'freeze';
  /** Milliseconds to wait before it. */
  readonly afterMs: number;
}

export type PlannedKill = RandomKill | FailpointKill | Freeze;

const combinations: ReadonlyArray<readonly Target[]> = [
  ['relay'],
  ['relay'],
  ['relay'],
  ['postgres'],
  ['postgres'],
  ['receiver'],
  ['relay', 'postgres'],
  ['relay', 'receiver'],
  ['postgres', 'receiver'],
  ['relay', 'postgres', 'receiver'],
];

/** Where there is a sink into NATS, beside the others. */
const combinationsWithNats: ReadonlyArray<readonly Target[]> = [
  ['nats'],
  ['nats'],
  ['nats'],
  ['relay', 'nats'],
  ['postgres', 'nats'],
];

export interface KillPlanOptions {
  /** How many kills in all, at least. */
  readonly kills: number;
  readonly seed: number;
  readonly failpoints: readonly string[];
  /** Kills at each failpoint; 0 for none. */
  readonly hits: number;
  /** How often the relay is stopped past its lease; each is one of the kills. */
  readonly freezes: number;
  /** Whether there is a sink into NATS. Default false. */
  readonly nats?: boolean;
  /** What goes before every random kill, of those processes before which it can go. Undefined: what chance will have. */
  readonly prelude?: Prelude | undefined;
  /** The process that every random kill kills, alone, once events have come again. Undefined: what chance will have. */
  readonly only?: Target | undefined;
}

/**
 * What is killed in a run, in order: every failpoint so many times, and the rest of the kills at random moments; all
 * mixed. The same seed makes the same plan.
 */
export function killPlan(options: KillPlanOptions): PlannedKill[] {
  const random = seededRandom(options.seed);
  const atFailpoints = options.failpoints.flatMap((failpoint) =>
    Array.from({ length: options.hits }, (_, turn) =>
      failpointKill(failpoint, { pass: 1 + random.below(4), afterMs: random.below(600), turn }),
    ),
  );
  const freezes = Array.from({ length: options.freezes }, (): Freeze => {
    return { type: 'freeze', afterMs: random.below(600) };
  });
  const others = Math.max(0, options.kills - atFailpoints.length - freezes.length);
  const atRandom = Array.from({ length: others }, (_, index) =>
    options.only === undefined
      ? randomKill(random, { index, wanted: options.prelude, nats: options.nats === true })
      : killOf(options.only, random),
  );
  return random.shuffled([...atFailpoints, ...freezes, ...atRandom]);
}

/** What is provoked comes once; the load passes the others all the time. */
export function failpointKill(
  failpoint: string,
  when: { readonly pass: number; readonly afterMs: number; readonly turn: number },
): FailpointKill {
  const provocation = provocationFor(failpoint, when.turn);
  const { afterMs } = when;
  return { type: 'failpoint', failpoint, pass: provocation === 'none' ? when.pass : 1, afterMs, provocation };
}

function killOf(target: Target, random: SeededRandom): RandomKill {
  return { type: 'random', targets: [target], early: false, afterMs: random.below(1_200), prelude: 'none' };
}

/** Every combination comes in turn, so that a short run has several of them. */
function randomKill(
  random: SeededRandom,
  options: { readonly index: number; readonly wanted: Prelude | undefined; readonly nats: boolean },
): RandomKill {
  const { index, wanted, nats } = options;
  const all = nats ? [...combinations, ...combinationsWithNats] : combinations;
  const fit = all.filter((each) => wanted === undefined || preludesOf(each).includes(wanted));
  const targets = fit[(index * 7) % fit.length] ?? ['relay'];
  const early = wanted === undefined && random.below(4) === 0;
  const afterMs = random.below(early ? 700 : 1_200);
  const prelude = early ? 'none' : (wanted ?? random.pick(preludesOf(targets)));
  return { type: 'random', targets, early, afterMs, prelude };
}

/** What can go before a kill; twice what is to be twice as likely. */
function preludesOf(targets: readonly Target[]): readonly Prelude[] {
  if (targets.includes('postgres')) return ['relaxed', 'relaxed', 'none'];
  return targets.includes('relay') ? ['stuck', 'held', 'none'] : ['none'];
}
