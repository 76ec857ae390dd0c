import { migrate, planMigrations } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import type { MigrateOptions } from '../cli/composition.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { loadDatabaseUrl } from '../config/load-configuration.ts';

/** `event-runtime migrate`: brings the schema up to date, or prints the SQL that would do it. */
export async function migrateCommand(context: CommandContext, options: MigrateOptions): Promise<ExitCode> {
  const { terminal, signal, json } = context;
  const connectionString = await loadDatabaseUrl({ given: options, env: context.env, signal });
  if (options.dryRun) {
    const plan = await planMigrations({ connectionString, signal });
    if (json)
      terminal.out(JSON.stringify({ pending: plan.map(({ number, name, sql }) => ({ number, name, sql })) }));
    else if (plan.length === 0) terminal.note('The schema is up to date: nothing would run.');
    else for (const { number, name, sql } of plan) terminal.out(`-- ${number} ${name}\n${sql}`);
    return exitCode.ok;
  }
  const result = await migrate({
    connectionString,
    signal,
    onProgress: (progress) => {
      switch (progress.kind) {
        case 'waiting':
          terminal.note('  waiting for another migration of this database');
          break;
        case 'applying':
          terminal.redraw(`  applying ${progress.number} ${progress.name}`);
          break;
        case 'applied':
          terminal.note(`  ${terminal.colors.green('✓')} ${progress.number} ${progress.name}`);
          break;
        case 'warning':
          terminal.note(`  ${terminal.colors.yellow('!')} ${progress.message}`);
          break;
      }
    },
  });
  if (json) terminal.out(JSON.stringify(result));
  else terminal.out(`schema event_runtime v${result.version}, ${result.applied.length} migrations applied`);
  return exitCode.ok;
}
