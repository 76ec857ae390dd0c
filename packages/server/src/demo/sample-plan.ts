import { type SeededRandom, seededRandom } from '@event-runtime/runtime/testing';
import type { SamplePayload } from './sample-payload.ts';

/** One transaction that the sample application is to run. */
export interface PlannedTransaction {
  readonly tenant: string;
  /**
   * `one`: a single emit. `many`: one `emit_many`. `savepoint`: one emit that stays, and one of the same
   * key that is rolled back to a savepoint.
   */
  readonly shape: 'one' | 'many' | 'savepoint';
  /** What becomes of the whole transaction. */
  readonly outcome: 'commit' | 'rollback';
  readonly events: readonly SamplePayload[];
  /** Emitted after `events` (`savepoint` only) and undone. */
  readonly undone?: SamplePayload;
  /** Whether the undone emit comes before the one that stays. */
  readonly undoneFirst: boolean;
}

export interface SamplePlanOptions {
  /** How many events are to be committed, exactly. */
  readonly events: number;
  readonly seed: number;
  readonly tenants: readonly string[];
  /** Each of them is committed at least once, in this order of preference, where `events` has room for all. */
  readonly once: readonly SamplePayload[];
  /** What the rest is drawn from. */
  readonly repeated: readonly SamplePayload[];
}

const rollbackShare = 0.1;
const savepointShare = 0.05;
const manyShare = 0.12;

/** The transactions of one run, one after another; the same for the same options. */
export function* samplePlan(options: SamplePlanOptions): Generator<PlannedTransaction> {
  const random = seededRandom(options.seed);
  const first = random.shuffled(options.once.slice(0, options.events));
  let left = options.events;
  const next = (): SamplePayload => first.pop() ?? random.pick(options.repeated);
  while (left > 0) {
    const tenant = random.pick(options.tenants);
    const undoneFirst = random.next() < 0.5;
    const dice = random.next();
    if (dice < rollbackShare) {
      yield { ...rolledBack(random, options.repeated), tenant, undoneFirst };
    } else if (dice < rollbackShare + savepointShare) {
      const kept = next();
      const { type, text, sha256 } = random.pick(options.repeated);
      const undone = { type, text, sha256, entityKey: kept.entityKey };
      yield { tenant, shape: 'savepoint', outcome: 'commit', events: [kept], undone, undoneFirst };
      left -= 1;
    } else {
      const many = dice < rollbackShare + savepointShare + manyShare && left > 1;
      const count = many ? Math.min(left, 2 + random.below(7)) : 1;
      const events = Array.from({ length: count }, next);
      yield { tenant, shape: many ? 'many' : 'one', outcome: 'commit', events, undoneFirst };
      left -= count;
    }
  }
}

function rolledBack(
  random: SeededRandom,
  payloads: readonly SamplePayload[],
): Pick<PlannedTransaction, 'shape' | 'outcome' | 'events'> {
  const many = random.next() < 0.3;
  const events = Array.from({ length: many ? 2 + random.below(4) : 1 }, () => random.pick(payloads));
  return { shape: many ? 'many' : 'one', outcome: 'rollback', events };
}
