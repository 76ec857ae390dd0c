import type { Found, Missing } from '../services/service.ts';
import { serviceTable } from '../services/table.ts';
import { noReason, notSelected, type Outcome } from './outcome.ts';

export interface Run {
  /** Undefined when the run ended before it could count. */
  readonly outcome: Outcome | undefined;
  /** Exit code of vitest. */
  readonly exitCode: number | null;
  readonly services: readonly (Found | Missing)[];
  /** True where nothing may be left out in silence. */
  readonly ci: boolean;
}

/** Why the run as a whole is not a success; empty when it is. */
function objections(run: Run): string[] {
  const { outcome, services, ci, exitCode } = run;
  if (outcome === undefined) return [`The test run broke off (exit ${exitCode}) before it could count.`];
  const totals = total(outcome);
  const found: string[] = [];
  if (totals.passed + totals.failed === 0) found.push('No test ran.');
  if (outcome.errors > 0) found.push(`${outcome.errors} errors outside of any test: see above.`);
  if (totals.failed === 0 && outcome.errors === 0 && exitCode !== 0)
    found.push(`vitest ended with exit ${exitCode}.`);
  if (ci) {
    for (const { path, service } of services) {
      if (path === undefined)
        found.push(`CI needs ${service.name} (${service.wanted}), and it was not found.`);
    }
    for (const { test, reason } of outcome.skips) {
      if (reason === noReason || reason.startsWith('needs '))
        found.push(`Skipped in CI (${reason}): ${test}`);
    }
  }
  return found;
}

function total(outcome: Outcome): {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
} {
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const counts of Object.values(outcome.projects)) {
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }
  return sum;
}

/** The end of `npm test`: where services came from, what was skipped and why, and the closing line. */
export function summarise(run: Run): { readonly text: string; readonly exitCode: 0 | 1 } {
  const found = objections(run);
  const lines = ['', 'Services', serviceTable(run.services, { all: false })];
  const totals = run.outcome === undefined ? { passed: 0, failed: 0, skipped: 0 } : total(run.outcome);
  if (run.outcome !== undefined) {
    lines.push('', 'Tests');
    for (const [name, { passed, failed, skipped }] of Object.entries(run.outcome.projects)) {
      lines.push(`  ${name.padEnd(6)} ${passed} passed, ${failed} failed, ${skipped} skipped`);
    }
    const reasons = new Map<string, number>();
    for (const { reason } of run.outcome.skips) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    if (reasons.size > 0) lines.push('', 'Skipped');
    for (const [reason, count] of reasons) lines.push(`  ${count}  ${reason}`);
    for (const { reason, test } of run.outcome.skips) {
      if (reason !== notSelected) lines.push(`       ${test}`);
    }
  }
  if (found.length > 0) lines.push('', ...found.map((objection) => `✗ ${objection}`));
  lines.push('', `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  const failed = found.length > 0 || totals.failed > 0 || run.exitCode !== 0;
  return { text: lines.join('\n'), exitCode: failed ? 1 : 0 };
}
