import { Argument, type Command } from 'commander';
import {
  type ForeignRelay,
  foreignRelays,
  relayConfigSettingPaths,
  relaySettingPaths,
} from '../operations/relay-setting-paths.ts';
import { dryRunFlag, quietFlag } from './common-flags.ts';
import { addDeadLetterCommands } from './dead-letter-commands.ts';
import { operation } from './operation.ts';
import type { Wiring } from './program.ts';
import { addReplayCommands } from './replay-commands.ts';
import { addRouteCommands } from './route-commands.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';
import { addTableCommands } from './table-commands.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
  readonly quiet?: boolean;
  readonly dryRun?: boolean;
}

type Settings = ReturnType<typeof givenSettings> & {
  readonly json: boolean;
  readonly quiet: boolean | undefined;
};

function settings(given: Given): Settings {
  return { ...givenSettings(given), json: given.json, quiet: given.quiet };
}

/** The commands of operators. */
export function addOperationCommands(root: Command, wiring: Wiring): void {
  const { composition, run } = wiring;
  const about = (name: string, description: string): Command => operation(root, { name, description });
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

  addSlotCommands(root, wiring);
  addSinkCommands(root, wiring);
  addReplayCommands(root, wiring);
  addDeadLetterCommands(root, wiring);
  addRouteCommands(root, wiring);
  addTableCommands(root, wiring);
  addSettingOptions(
    root
      .command('relay-config')
      .description('print a configuration with which another relay reads the outbox; asks no database')
      .addArgument(new Argument('<relay>', 'which one').choices(foreignRelays))
      .option('--json', 'print one JSON object, with the configuration as a text', false),
    relayConfigSettingPaths,
  ).action(async (relay: ForeignRelay, given: Given) =>
    run(composition.relayConfig, { ...givenSettings(given), relay, json: given.json }),
  );

  about('uninstall', 'remove slot, publication, schema and roles from the database')
    .option('--dry-run', 'show what would be removed, and remove nothing', false)
    .option('--yes', 'remove it, with every event in the outbox', false)
    .action(async (given: Given & { readonly dryRun: boolean; readonly yes: boolean }) =>
      run(composition.uninstall, { ...settings(given), dryRun: given.dryRun, yes: given.yes }),
    );
}

function addSlotCommands(root: Command, { composition, run }: Wiring): void {
  const slot = root.command('slot').description('show, make or drop the replication slot');
  const slotAction =
    (action: 'show' | 'create' | 'drop') =>
    async (given: Given & { readonly yes?: boolean }): Promise<void> =>
      run(composition.slot, {
        ...settings(given),
        action,
        yes: given.yes === true,
        dryRun: given.dryRun === true,
      });
  const show = slot.command('show', { isDefault: true }).alias('status').description('show its state');
  addSettingOptions(show.option('--json', 'print one JSON object', false), relaySettingPaths).action(
    slotAction('show'),
  );
  operation(slot, { name: 'create', description: 'make it, which waits for every open transaction' })
    .option(...dryRunFlag)
    .option(...quietFlag)
    .action(slotAction('create'));
  operation(slot, { name: 'drop', description: 'drop it; a running relay makes a new one' })
    .option(...dryRunFlag)
    .option('--yes', 'really', false)
    .action(slotAction('drop'));
}

function addSinkCommands(root: Command, { composition, run }: Wiring): void {
  const sinks = root.command('sinks').description('list, pause, resume or rewind the sinks of the relay');
  const list = sinks.command('list', { isDefault: true }).description('show where each sink is');
  addSettingOptions(list.option('--json', 'print one JSON object', false), relaySettingPaths).action(
    async (given: Given) => run(composition.sinksList, settings(given)),
  );
  for (const [name, paused, does] of [
    ['pause', true, 'hold a sink back: its events wait in the outbox'],
    ['resume', false, 'let a paused sink go on where it was'],
  ] as const) {
    operation(sinks, { name: `${name} <sink>`, description: does })
      .option(...dryRunFlag)
      .action(async (sink: string, given: Given) =>
        run(composition.sinkPause, { ...settings(given), sink, paused, dryRun: given.dryRun === true }),
      );
  }
  operation(sinks, {
    name: 'rewind <sink>',
    description: 'let a sink go back: it is handed again what came since',
  })
    .requiredOption('--to <time>', 'a time with its zone, a day in UTC, or beginning')
    .option(...dryRunFlag)
    .action(async (sink: string, given: Given & { readonly to: string }) =>
      run(composition.sinkRewind, { ...settings(given), sink, to: given.to, dryRun: given.dryRun === true }),
    );
}
