import type { Command } from 'commander';
import { relaySettingPaths } from '../operations/relay-setting-paths.ts';
import { dryRunFlag, quietFlag } from './common-flags.ts';
import type { Wiring } from './program.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
  readonly sink?: string;
  readonly tenant?: string;
  readonly type?: string;
  readonly group?: string;
  readonly since?: string;
}

interface GivenForList extends Given {
  readonly all: boolean;
  readonly limit: string;
  readonly after?: string;
}

interface GivenForChange extends Given {
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly wait?: boolean;
  readonly takeOver?: boolean;
  readonly yes?: boolean;
  readonly reason?: string;
  readonly quiet?: boolean;
}

/** The commands for events that a sink gave up on. */
export function addDeadLetterCommands(root: Command, { composition, run }: Wiring): void {
  const letters = root
    .command('dead-letters')
    .description(
      'look at events that a sink gave up on, hand them over again, take that back, or discard them',
    );
  selecting(described(letters.command('list', { isDefault: true }), 'show them, by groups of like errors'))
    .option('--all', 'show single letters, those that were kept last first', false)
    .option('--limit <number>', 'as many at most', '100')
    .option('--after <id>', 'with --all: those behind this one, as the page before ended')
    .action(async (given: GivenForList) => {
      const { all, limit, after, json } = given;
      const which = { ...chosen(given), all, limit, after };
      await run(composition.deadLettersList, { ...givenSettings(given), ...which, json });
    });
  described(letters.command('show <id>'), 'show one letter, with its payload').action(
    async (id: string, given: Given) =>
      run(composition.deadLetterShow, { ...givenSettings(given), id, json: given.json }),
  );
  changing(letters.command('redrive [ids...]'), 'hand letters over again, older ones of an entity first')
    .option('--wait', 'show how far it is, until it is over', false)
    .option('--take-over', 'also letters of relays that do not run: they are of this one from now on', false)
    .option(...quietFlag)
    .action(async (ids: readonly string[], given: GivenForChange) => {
      const { all, dryRun, wait = false, takeOver = false, quiet, json } = given;
      const which = { ...chosen(given), ids, all, takeOver };
      const asked = { ...givenSettings(given), ...which, dryRun, wait, quiet, json };
      await run(composition.deadLettersRedrive, asked);
    });
  changing(
    letters.command('cancel [ids...]'),
    'take back a redrive, as far as it is not done: letters are dead as before',
  )
    .option(...quietFlag)
    .action(async (ids: readonly string[], given: GivenForChange) => {
      const { all, dryRun, quiet, json } = given;
      const asked = { ...givenSettings(given), ...chosen(given), ids, all, dryRun, quiet, json };
      await run(composition.deadLettersCancel, asked);
    });
  changing(letters.command('discard [ids...]'), 'delete letters for good, with their payloads')
    .option('--reason <text>', 'why: it is logged')
    .option('--yes', 'really', false)
    .option(...quietFlag)
    .action(async (ids: readonly string[], given: GivenForChange) => {
      const { all, dryRun, yes = false, reason, quiet, json } = given;
      const asked = { ...givenSettings(given), ...chosen(given), ids, all, dryRun, yes, reason, quiet, json };
      await run(composition.deadLettersDiscard, asked);
    });
}

function chosen({ sink, tenant, type, group, since }: Given): Omit<Given, 'json'> {
  return { sink, tenant, type, group, since };
}

function selecting(command: Command): Command {
  return command
    .option('--sink <name>', 'of this sink')
    .option('--tenant <tenant>', 'of this tenant')
    .option('--type <glob>', 'of these types of events; * stands for any text')
    .option('--group <group>', 'of this group of like errors')
    .option('--since <time>', 'died at this time or later: a time with its zone, or a day in UTC');
}

function changing(command: Command, description: string): Command {
  return selecting(described(command, description))
    .option('--all', 'every letter, where no condition is given', false)
    .option(...dryRunFlag);
}

function described(command: Command, description: string): Command {
  return addSettingOptions(
    command.description(description).option('--json', 'print one JSON object', false),
    relaySettingPaths,
  );
}
