import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The test files that take longest, by their paths below the root: those that work beside those that wait. One that
 * begins late leaves the other workers with nothing to do at the end of a run.
 */
export const longest: readonly string[] = [
  'crash/crash.e2e.test.ts',
  'packages/server/src/demo/demo.e2e.test.ts',
  'bench/relay.pg.test.ts',
  'packages/runtime/src/relay/idle.pg.test.ts',
  'packages/runtime/src/relay/failover-takeover.pg.test.ts',
  'scripts/check/steps.test.ts',
  'packages/runtime/src/relay/takeover.pg.test.ts',
  'packages/runtime/src/schema/partitioner.pg.test.ts',
  'packages/server/src/dev/dev-command.pg.test.ts',
  'packages/server/src/demo/run-demo.pg.test.ts',
  'packages/runtime/src/relay/retention/retention.pg.test.ts',
];

/** These first, in their order; the others behind them, as they are. @param pathOf ends with a path below the root */
export function longestFirst<File>(files: readonly File[], pathOf: (file: File) => string): File[] {
  const rank = (file: File): number => {
    const index = longest.findIndex((path) => pathOf(file).endsWith(`/${path}`));
    return index < 0 ? longest.length : index;
  };
  return files.toSorted((a, b) => rank(a) - rank(b));
}

/** Vitest's own order, by project and size, behind the files that take longest. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not that of an array
    return longestFirst(await super.sort(files), ({ moduleId }) => moduleId);
  }
}
