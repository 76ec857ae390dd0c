import type { Command } from 'commander';
import { relaySettingPaths } from '../operations/site.ts';
import type { Wiring } from './program.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
}

function settings(given: Given): ReturnType<typeof givenSettings> & { readonly json: boolean } {
  return { ...givenSettings(given), json: given.json };
}

/** The commands of operators. */
export function addOperationCommands(root: Command, { composition, run }: Wiring): void {
  const about = (name: string, description: string, parent: Command = root): Command =>
    addSettingOptions(
      parent.command(name).description(description).option('--json', 'print one JSON object', false),
      relaySettingPaths,
    );
  about(
    'status',
    'show how the relay stands (exit code 0: fine, 3: something needs attention, 1: cannot tell)',
  ).action(async (given: Given) => run(composition.status, settings(given)));
  about('lag', 'watch what each sink has yet to read, until Ctrl-C; with --json once').action(
    async (given: Given) => run(composition.lag, settings(given)),
  );
  about(
    'doctor',
    'check everything the service needs, with what mends it (exit code 3: something fails)',
  ).action(async (given: Given) => run(composition.doctor, settings(given)));

  const slot = root.command('slot').description('show, make or drop the replication slot');
  const slotAction =
    (action: 'show' | 'create' | 'drop') =>
    async (given: Given & { readonly yes?: boolean }): Promise<void> =>
      run(composition.slot, { ...settings(given), action, yes: given.yes === true });
  const show = slot.command('show', { isDefault: true }).description('show its state');
  addSettingOptions(show.option('--json', 'print one JSON object', false), relaySettingPaths).action(
    slotAction('show'),
  );
  about('create', 'make it, which waits for every open transaction', slot).action(slotAction('create'));
  about('drop', 'drop it; a running relay makes a new one', slot)
    .option('--yes', 'really', false)
    .action(slotAction('drop'));

  const sinks = root.command('sinks').description('list, pause or resume the sinks of the relay');
  const list = sinks.command('list', { isDefault: true }).description('show where each sink is');
  addSettingOptions(list.option('--json', 'print one JSON object', false), relaySettingPaths).action(
    async (given: Given) => run(composition.sinksList, settings(given)),
  );
  for (const [name, paused, does] of [
    ['pause', true, 'hold a sink back: its events wait in the outbox'],
    ['resume', false, 'let a paused sink go on where it was'],
  ] as const) {
    about(`${name} <sink>`, does, sinks).action(async (sink: string, given: Given) =>
      run(composition.sinkPause, { ...settings(given), sink, paused }),
    );
  }

  about('uninstall', 'remove slot, publication, schema and roles from the database')
    .option('--dry-run', 'show what would be removed, and remove nothing', false)
    .option('--yes', 'remove it, with every event in the outbox', false)
    .action(async (given: Given & { readonly dryRun: boolean; readonly yes: boolean }) =>
      run(composition.uninstall, { ...settings(given), dryRun: given.dryRun, yes: given.yes }),
    );
}
