import { type Service, serviceTransitions } from '../lifecycle/service.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

export interface StressOptions {
  /** How many lives are played through. Default 60. */
  readonly rounds?: number;
  /** Number that the interleavings are drawn from; printed with a failure. Default: the current time. */
  readonly seed?: number;
  /** Checked after each life: whatever the service acquired must be released by then. */
  readonly leaked?: () => Promise<string | undefined> | string | undefined;
}

/**
 * The test that every service must pass: many short lives with `start` and `stop` called early, late,
 * twice and at the same time, and the same promises checked after each (invariants 1 to 3, 6 and 7 of
 * `Service`). Throws with the seed and the calls of the life that broke one.
 */
export async function stressService(make: () => Service, options: StressOptions = {}): Promise<void> {
  const seed = options.seed ?? Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  for (let round = 0; round < (options.rounds ?? 60); round += 1) {
    const calls: string[] = [];
    try {
      await oneLife(make(), { random, calls });
      const leak = await options.leaked?.();
      if (leak !== undefined) throw new Error(`left behind: ${leak}`);
    } catch (cause) {
      throw new Error(`seed ${seed}, life ${round}, calls ${calls.join(' ')}: ${String(cause)}`, { cause });
    }
  }
}

async function oneLife(
  service: Service,
  play: { readonly random: SeededRandom; readonly calls: string[] },
): Promise<void> {
  const wrongs: unknown[] = [];
  const outcomes: Array<Promise<unknown>> = [];
  const watch = (outcome: Promise<unknown>): void => {
    outcomes.push(outcome.catch((error: unknown) => wrongs.push(error)));
  };
  let starts = 0;
  let startedOnce = false;
  let stoppedFirst = false;
  const steps = 2 + play.random.below(5);
  for (let step = 0; step < steps; step += 1) {
    const draw = play.random.next();
    if (draw < 0.35) {
      play.calls.push('start');
      starts += 1;
      const first = starts === 1;
      const legal = first && !stoppedFirst;
      watch(
        service.start().then(
          () => {
            startedOnce = true;
            if (!legal) throw new Error('a second or late start() resolved');
          },
          () => undefined,
        ),
      );
    } else if (draw < 0.7) {
      play.calls.push('stop');
      if (starts === 0) stoppedFirst = true;
      watch(
        service.stop({ graceMs: 5_000 }).then(() => {
          if (!['stopped', 'failed'].includes(service.state)) throw new Error('stop() resolved too early');
        }),
      );
    } else {
      play.calls.push('wait');
      await new Promise((resolve) => {
        setTimeout(resolve, play.random.below(12));
      });
    }
  }
  play.calls.push('stop');
  watch(service.stop({ graceMs: 5_000 }));
  await Promise.all(outcomes);
  if (wrongs.length > 0) throw wrongs[0];
  if (!['stopped', 'failed'].includes(service.state)) throw new Error(`ended as ${service.state}`);
  if (serviceTransitions[service.state].length > 0) throw new Error('ended in a state that is not final');
  if (stoppedFirst && startedOnce) throw new Error('started after it was stopped');
  await service.finished.catch(() => undefined);
  await service.start().then(
    () => {
      throw new Error('a finished service started again');
    },
    () => undefined,
  );
}
