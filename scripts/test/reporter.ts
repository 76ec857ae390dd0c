import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import type { Reporter, TestModule, Vitest } from 'vitest/node';
import { type Outcome, type Skip, skipReason } from './outcome.ts';

/** A vitest reporter that prints nothing: it counts, and writes an {@link Outcome} to the file that the runner names. */
export default class OutcomeReporter implements Reporter {
  #filtered = false;

  onInit(vitest: Vitest): void {
    this.#filtered = vitest.config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env['EVENT_RUNTIME_TEST_OUTCOME'];
    if (file === undefined) throw new TypeError('EVENT_RUNTIME_TEST_OUTCOME is not set');
    const projects: Record<string, { passed: number; failed: number; skipped: number }> = {};
    const skips: Skip[] = [];
    let errors = unhandled.length;
    for (const module of modules) {
      const counts = projects[module.project.name] ?? { passed: 0, failed: 0, skipped: 0 };
      projects[module.project.name] = counts;
      errors += module.errors().length;
      for (const suite of module.children.allSuites()) errors += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'passed') counts.passed += 1;
        else if (result.state === 'skipped') {
          counts.skipped += 1;
          const { fullName } = test;
          const reason = skipReason({
            fullName,
            note: result.note,
            todo: test.options.mode === 'todo',
            filtered: this.#filtered,
          });
          skips.push({ test: `${module.relativeModuleId} > ${fullName}`, reason });
        }
        // What failed, and what never ended because its worker died.
        else counts.failed += 1;
      }
    }
    writeFileSync(file, JSON.stringify({ projects, skips, errors } satisfies Outcome));
  }
}
