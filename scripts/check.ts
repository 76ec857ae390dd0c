/** `npm run check [-- step ...]`: everything that can be said about the code without running it. */
import { join } from 'node:path';
import { runSteps } from './check/run-steps.ts';
import { steps } from './check/steps.ts';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(
    `no such check: ${unknown.join(', ')}; there are ${steps.map(({ name }) => name).join(', ')}`,
  );
  process.exitCode = 2;
} else {
  const chosen = wanted.length === 0 ? steps : steps.filter(({ name }) => wanted.includes(name));
  process.exitCode = await runSteps(chosen, {
    root: join(import.meta.dirname, '..'),
    output: process.stdout,
  });
}
