import { type Output, showStep } from './report.ts';
import type { Step } from './step.ts';

/**
 * Runs the steps one after another, all of them also when one fails, and shows at the end what was wrong.
 *
 * @returns the exit code: 0 only when at least one step ran and every step was content
 */
export async function runSteps(
  steps: readonly Step[],
  options: { readonly root: string; readonly output: Output },
): Promise<0 | 1> {
  const { root, output } = options;
  const width = Math.max(0, ...steps.map(({ name }) => name.length));
  const failed: { readonly name: string; readonly problems: readonly string[] }[] = [];
  for (const { name, about, run } of steps) {
    const progress = showStep(`${name.padEnd(width)}  ${about}`, output);
    let problems: readonly string[];
    try {
      problems = await run(root);
    } catch (error) {
      problems = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
    }
    progress.done(problems.length);
    if (problems.length > 0) failed.push({ name, problems });
  }
  for (const { name, problems } of failed) output.write(`\n── ${name} ──\n${problems.join('\n')}\n`);
  const verdict = failed.length === 0 ? 'all clean' : `failed: ${failed.map(({ name }) => name).join(', ')}`;
  output.write(`\n${steps.length} checks, ${verdict}\n`);
  return failed.length === 0 && steps.length > 0 ? 0 : 1;
}
