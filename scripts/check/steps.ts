import { lockFile } from './lock-file.ts';
import { machinePaths } from './machine-paths.ts';
import { packages } from './packages.ts';
import { sqlFiles } from './sql-files.ts';
import type { Step } from './step.ts';
import { node, tool } from './tool.ts';

/** Every check, cheap ones first; `types` builds, and what follows it reads what was built. */
export const steps: readonly Step[] = [
  {
    name: 'format',
    about: 'layout and import order',
    run: (root) => tool(root, 'biome', ['check', '--max-diagnostics=20', '.']),
  },
  { name: 'lock', about: 'lock file without hosts and engines', run: lockFile },
  { name: 'paths', about: 'no path of one machine', run: machinePaths },
  { name: 'sql', about: 'SQL files name their columns', run: sqlFiles },
  {
    name: 'types',
    about: 'build; types of tests and scripts',
    run: async (root) => [
      ...(await tool(root, 'tsc', ['-b', '--pretty', 'false'])),
      ...(await tool(root, 'tsc', ['-p', 'tsconfig.test.json', '--pretty', 'false'])),
    ],
  },
  {
    name: 'lint',
    about: 'type-aware rules, floors, sizes',
    run: (root) => tool(root, 'oxlint', ['--format=stylish', '.']),
  },
  {
    name: 'dead-code',
    about: 'unused files, exports, dependencies',
    run: (root) => tool(root, 'knip', ['--no-progress']),
  },
  {
    name: 'generated',
    about: 'generated pages are fresh',
    run: (root) => node(root, ['scripts/generate.ts', '--check']),
  },
  { name: 'packages', about: 'what would be published', run: packages },
];
