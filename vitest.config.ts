import { defineConfig } from 'vitest/config';
import { LongestFirst } from './scripts/test/longest-first.ts';

const sources = (name: string): string => new URL(`./packages/${name}/src/`, import.meta.url).pathname;

/** A test file's suffix says what it needs; each need is a project of its own. */
const needs = ['pg', 'nats'] as const;

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@event-runtime\/(outbox|runtime|pcm|simulators)$/, replacement: `${sources('$1')}index.ts` },
      { find: /^@event-runtime\/runtime\/testing$/, replacement: `${sources('runtime')}testing/index.ts` },
    ],
  },
  test: {
    environment: 'node',
    // No measure of anything: a busy machine may take many times as long as an idle one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Most of a test's time is waiting: for a lease, a poll, a server to start.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          // No file leaves anything behind in its process: a fresh one for each would take half of the time.
          isolate: false,
          include: [
            'packages/*/src/**/*.test.ts',
            'scripts/**/*.test.ts',
            'bench/**/*.test.ts',
            'crash/**/*.test.ts',
          ],
          exclude: needs.map((need) => `**/*.${need}.test.ts`).concat('**/*.e2e.test.ts'),
        },
      },
      {
        extends: true,
        test: {
          name: 'pg',
          // As with the unit tests: each new process would load the same modules once more.
          isolate: false,
          include: ['packages/*/src/**/*.pg.test.ts', 'bench/**/*.pg.test.ts'],
          globalSetup: ['test/postgres-setup.ts', 'test/programs-setup.ts', 'test/nats-setup.ts'],
          pool: 'forks',
        },
      },
      {
        extends: true,
        test: {
          name: 'nats',
          isolate: false,
          include: ['packages/*/src/**/*.nats.test.ts'],
          globalSetup: ['test/nats-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['packages/*/src/**/*.e2e.test.ts', 'crash/**/*.e2e.test.ts'],
          // After the others: these have whole services and PostgreSQL clusters each.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
