import { type Command, Option } from 'commander';
import { routeSettingPaths } from '../operations/relay-setting-paths.ts';
import type { Wiring } from './program.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';

interface Given extends Readonly<Record<string, unknown>> {
  readonly json: boolean;
  readonly type?: string;
  readonly tenant?: string;
  readonly ecosystem?: string;
  readonly key?: string;
  readonly header: readonly string[];
  readonly payload?: string;
  readonly id?: string;
  readonly eventVersion?: string;
  readonly source?: string;
  readonly correlation?: string;
  readonly causation?: string;
  readonly time?: string;
  readonly replay?: string;
}

/** The command that shows where events go. */
export function addRouteCommands(root: Command, { composition, run }: Wiring): void {
  const routes = root.command('routes').description('show where events would go');
  const command = routes
    .command('test [event]')
    .description('show where one event would go: one of the outbox by its id, or one that is described')
    .option('--type <type>', 'describe one: its type')
    .option('--tenant <tenant>', 'its tenant (default tenant)')
    .option('--ecosystem <ecosystem>', 'its ecosystem (default none)')
    .option('--key <key>', 'its entity key (default none)')
    .addOption(
      // Each takes one: an id behind it is the event's.
      new Option('--header <name=value>', "a producer's header; may be given several times")
        .default([], 'none')
        .argParser((text, before: readonly string[]) => [...before, text]),
    )
    .option('--payload <json>', 'its payload (default {})')
    .option('--id <id>', 'its id, a UUID')
    .option('--event-version <number>', 'the version of its schema (default 1)')
    .option('--source <service>', 'the service that emitted it (default none)')
    .option('--correlation <id>', 'its correlation id (default none)')
    .option('--causation <id>', 'its causation id (default none)')
    .option('--time <time>', 'when it was recorded: a time with its zone, or a day in UTC (default now)')
    .option('--replay <id>', 'as the replay with this id brings it, also one of the outbox')
    .option('--json', 'print one JSON object', false);
  addSettingOptions(command, [...routeSettingPaths, 'databaseUrl']).action(
    async (event: string | undefined, given: Given) => {
      const { type, tenant, ecosystem, key, header, payload } = given;
      const { id, eventVersion, source, correlation, causation, time, replay, json } = given;
      const envelope = { type, tenant, ecosystem, key, header, id, eventVersion, source, correlation };
      const described = { ...envelope, causation, time, payload };
      await run(composition.routesTest, { ...givenSettings(given), event, ...described, replay, json });
    },
  );
}
