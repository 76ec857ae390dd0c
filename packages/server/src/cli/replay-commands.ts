import { type Command, Option } from 'commander';
import { dryRunFlag, quietFlag } from './common-flags.ts';
import { operation } from './operation.ts';
import type { Wiring } from './program.ts';
import { givenSettings } from './setting-options.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
}

interface Selected extends Given {
  readonly sink: string;
  readonly tenant?: string;
  readonly type?: string;
  readonly key?: string;
  readonly from?: string;
  readonly before?: string;
  readonly event: readonly string[];
  readonly rate: string;
  readonly all: boolean;
  readonly wait: boolean;
  readonly dryRun: boolean;
  readonly quiet?: boolean;
}

/** The commands that hand events to a sink once more. */
export function addReplayCommands(root: Command, { composition, run }: Wiring): void {
  const replay = root.command('replay').description('hand events of the outbox to a sink once more');
  operation(replay, {
    name: 'create',
    description: 'make a replay of the events that are committed now and match every condition',
  })
    .requiredOption('--sink <name>', 'the sink that is handed them')
    .option('--tenant <tenant>', 'of this tenant')
    .option('--type <glob>', 'of these types; * stands for any text')
    .option('--key <key>', 'of this entity key')
    .option('--from <time>', 'recorded at this time or later: a time with its zone, or a day in UTC')
    .option('--before <time>', 'recorded before this time')
    .addOption(
      new Option('--event <id>', 'with this id; may be given several times')
        .default([], 'any')
        .argParser((text, before: readonly string[]) => [...before, text]),
    )
    .option('--all', 'every event of the outbox, where no condition is given', false)
    .option('--rate <number>', 'events a second, at most', '500')
    .option('--wait', 'show how far it is, until it is over', false)
    .option(...dryRunFlag)
    .option(...quietFlag)
    .action(async (given: Selected) => {
      const { sink, tenant, type, key, from, before, event, rate, all, wait, dryRun, quiet, json } = given;
      const selected = { sink, tenant, type, key, from, before, event, rate, all };
      await run(composition.replayCreate, {
        ...givenSettings(given),
        ...selected,
        wait,
        dryRun,
        quiet,
        json,
      });
    });
  operation(replay, { name: 'list', description: 'show the replays, the newest first' })
    .option('--sink <name>', 'of one sink')
    .action(async (given: Given & { readonly sink?: string }) =>
      run(composition.replayList, { ...givenSettings(given), sink: given.sink, json: given.json }),
    );
  operation(replay, { name: 'show <id>', description: 'show how far a replay is' })
    .option('--wait', 'show it until it is over', false)
    .option(...quietFlag)
    .action(async (id: string, given: Given & { readonly wait: boolean; readonly quiet?: boolean }) => {
      const { wait, quiet, json } = given;
      await run(composition.replayShow, { ...givenSettings(given), id, wait, quiet, json });
    });
  for (const [name, state, does] of [
    ['pause', 'paused', 'let a replay stand still'],
    ['resume', 'running', 'let a paused replay go on where it was'],
    ['cancel', 'cancelled', 'end a replay; what it has handed over stays'],
  ] as const) {
    operation(replay, { name: `${name} <id>`, description: does }).action(async (id: string, given: Given) =>
      run(composition.replayChange, { ...givenSettings(given), id, state, json: given.json }),
    );
  }
}
