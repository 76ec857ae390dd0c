import {
  connectDirect,
  type MigrationProgress,
  migrate,
  planMigrations,
  schemaStatus,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import type { MigrateOptions } from '../cli/composition.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { Terminal } from '../cli/terminal.ts';
import { loadDatabaseUrl } from '../config/load-configuration.ts';

/** `event-runtime migrate`: brings the schema up to date, or prints the SQL that would do it. */
export async function migrateCommand(context: CommandContext, options: MigrateOptions): Promise<ExitCode> {
  const { terminal, signal, json } = context;
  const connectionString = await loadDatabaseUrl({ given: options, env: context.env, signal });
  if (options.status) return await showStatus(context, connectionString);
  if (options.dryRun || options.plan) {
    const plan = await planMigrations({ connectionString, signal });
    if (json)
      terminal.out(JSON.stringify({ pending: plan.map(({ number, name, sql }) => ({ number, name, sql })) }));
    else if (plan.length === 0) terminal.note('The schema is up to date: nothing would run.');
    else if (options.plan) for (const { number, name } of plan) terminal.out(`${number} ${name}`);
    else for (const { number, name, sql } of plan) terminal.out(`-- ${number} ${name}\n${sql}`);
    return exitCode.ok;
  }
  const result = await migrate({
    connectionString,
    signal,
    onProgress: (progress) => {
      if (context.quiet !== true || progress.kind === 'warning') show(progress, terminal);
    },
  });
  if (json) terminal.out(JSON.stringify(result));
  else terminal.out(`schema event_runtime v${result.version}, ${result.applied.length} migrations applied`);
  return exitCode.ok;
}

function show(progress: MigrationProgress, terminal: Terminal): void {
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
}

/** Exit code 0 when this program can work on the schema, else 1. */
async function showStatus(
  { terminal, signal, json }: CommandContext,
  connectionString: string,
): Promise<ExitCode> {
  await using connection = await connectDirect({
    connectionString,
    applicationName: 'event-runtime status',
    signal,
  });
  const status = await schemaStatus(connection.client);
  const { state, version, known, drifted } = status;
  if (json) {
    terminal.out(JSON.stringify(status));
  } else {
    const edited = drifted.length === 0 ? '' : `; edited after they were applied: ${drifted.join(', ')}`;
    terminal.out(`schema event_runtime: ${state}, version ${version}; this program brings ${known}${edited}`);
  }
  return state === 'current' || state === 'newer' ? exitCode.ok : exitCode.notHealthy;
}
