import type { TablePreset } from '@event-runtime/runtime';
import { type Command, Option } from 'commander';
import { dryRunFlag } from './common-flags.ts';
import type { Wiring } from './program.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
}

interface GivenForAttach extends Given {
  readonly preset?: TablePreset;
  readonly map: readonly string[];
  readonly dryRun: boolean;
}

/** What the help says of each; the mappings themselves are the runtime's, which the help does not load. */
const presets: Readonly<Record<TablePreset, string>> = {
  debezium: "Debezium's outbox convention: id, aggregatetype, aggregateid, type, payload",
  'prisma-outbox':
    'a Prisma model with a dispatcher: tenantId, eventId, eventType, payload, idempotencyKey, status …',
  'organization-outbox':
    'an outbox of organisations: id, event_name, event_type, payload, organization_id, traceparent',
};

/** The commands for tables that a team already has. */
export function addTableCommands(root: Command, { composition, run }: Wiring): void {
  const tables = root
    .command('tables')
    .description('make events of the rows of tables that you already have');
  described(tables.command('list', { isDefault: true }), 'show the attached tables').action(
    async (given: Given) => run(composition.tablesList, { ...givenSettings(given), json: given.json }),
  );
  described(
    tables.command('attach <table>'),
    'make each row that is inserted into <table> an event, by a trigger in the same transaction',
  )
    .addOption(
      new Option('--preset <name>', 'the mapping of a known form of table').choices(Object.keys(presets)),
    )
    .addOption(
      new Option(
        '--map <field=column...>',
        'a field of the event and its column; field=a+b joins two by /, field=:text is the same text always',
      ).default([], 'none'),
    )
    .option('--dry-run', 'print the SQL that would run, and run nothing', false)
    .addHelpText('after', presetsText)
    .action(async (table: string, { preset, map, dryRun, json, ...given }: GivenForAttach) =>
      run(composition.tableAttach, { ...givenSettings(given), table, preset, map, dryRun, json }),
    );
  described(
    tables.command('detach <table>'),
    'make no more events of its rows; those that became events stay',
  )
    .option(...dryRunFlag)
    .action(async (table: string, given: Given & { readonly dryRun: boolean }) =>
      run(composition.tableDetach, {
        ...givenSettings(given),
        table,
        dryRun: given.dryRun,
        json: given.json,
      }),
    );
}

function described(command: Command, description: string): Command {
  return addSettingOptions(
    command.description(description).option('--json', 'print one JSON object', false),
    ['databaseUrl'],
  );
}

function presetsText(): string {
  const lines = Object.entries(presets).map(([name, about]) => `  ${name}: ${about}`);
  return ['', 'Presets:', ...lines].join('\n');
}
