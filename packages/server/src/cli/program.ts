import { readFileSync } from 'node:fs';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { DemoSinkKind } from '../demo/demo-sink.ts';
import type { CommandContext } from './command-context.ts';
import { quietFlag } from './common-flags.ts';
import { completionScript, type Shell, shells } from './completion.ts';
import type { Composition } from './composition.ts';
import type { ExitCode } from './exit-code.ts';
import { addOperationCommands } from './operation-commands.ts';
import { addSettingOptions, givenSettings } from './setting-options.ts';

/** What a run of the program needs beside its arguments. */
export interface ProgramOptions {
  readonly composition: Composition;
  readonly context: Omit<CommandContext, 'json' | 'quiet'>;
  /** Told how the command ended. */
  readonly onExit: (code: ExitCode) => void;
}

interface DemoFlags {
  readonly sink: DemoSinkKind;
  readonly events: number;
  readonly kill: boolean;
  readonly seed?: number;
  readonly rate?: number;
  readonly json: boolean;
  readonly quiet?: boolean;
}

/** Runs a command with what its flags say. */
export type Run = <Options>(
  command: (context: CommandContext, options: Options) => Promise<ExitCode>,
  given: Options & { readonly json?: boolean; readonly quiet?: boolean | undefined },
) => Promise<void>;

/** The command line: its words, their help, and which command they mean. Throws CommanderError to end. */
export function program(options: ProgramOptions): Command {
  const { composition, context, onExit } = options;
  const { terminal } = context;
  const root = new Command('event-runtime')
    .description('Durable events for teams on PostgreSQL.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError('(run with --help for what there is)')
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    })
    .exitOverride();
  const run: Run = async (command, given) =>
    onExit(await command({ ...context, json: given.json === true, quiet: given.quiet === true }, given));

  root
    .command('dev')
    .description('run everything on this machine and show each event as it travels')
    .option('--json', 'one JSON object a line, for programs')
    .action(async (given: { json?: boolean }) => run(composition.dev, given));
  addDemoCommand(root, { composition, run });
  root
    .command('explain')
    .argument('[code]', 'like ER1203; without it all are listed')
    .description('say what an error code means, what to do, and where more is written')
    .option('--json', 'print one JSON object', false)
    .action(async (code: string | undefined, given: { json: boolean }) =>
      run(composition.explain, { ...given, code }),
    );
  addServiceCommands(root, { composition, run });
  addOperationCommands(root, { composition, run });
  root
    .command('completion')
    .description('print a script that completes commands and flags: eval "$(event-runtime completion bash)"')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .action((shell: Shell) => terminal.out(completionScript(root, shell)));
  return root;
}

/** What a part of the command line is put together from. */
export interface Wiring {
  readonly composition: Composition;
  readonly run: Run;
}

function addDemoCommand(root: Command, { composition, run }: Wiring): void {
  root
    .command('demo')
    .description(
      'send real payloads from committed transactions to verified webhooks or a stream, and compare',
    )
    .addOption(
      new Option(
        '--sink <kind>',
        'where they go: to webhooks, or into NATS JetStream, of a nats-server that it starts',
      )
        .choices(['webhooks', 'nats'] satisfies DemoSinkKind[])
        .default('webhooks'),
    )
    .option('--events <number>', 'how many events are committed', whole(1), 1_000)
    .option('--kill', 'kill the relay with SIGKILL again and again while it runs', false)
    .option('--seed <number>', 'repeats the choices of an earlier run', whole(0))
    .option(
      '--rate <number>',
      'committed events per second at most, 0 for no limit (default: 300, with --kill 0)',
      whole(0),
    )
    .option('--json', 'print one JSON object at the end', false)
    .option(...quietFlag)
    .action(async (given: DemoFlags) =>
      run(composition.demo, {
        ...given,
        seed: given.seed ?? Math.floor(Math.random() * 0x1_0000_0000),
        rate: given.rate ?? (given.kill ? 0 : 300),
      }),
    );
}

/** The commands that take settings. */
function addServiceCommands(root: Command, { composition, run }: Wiring): void {
  interface Given extends Readonly<Record<string, unknown>> {
    readonly json: boolean;
    readonly quiet?: boolean;
  }
  addSettingOptions(
    root
      .command('start')
      .description('run the service on the database that DATABASE_URL names')
      .option('--json', 'report a failure as one JSON object', false),
  ).action(async (given: Given) => run(composition.start, { ...givenSettings(given), json: given.json }));
  addSettingOptions(
    root
      .command('migrate')
      .description('bring the event_runtime schema of the database that DATABASE_URL names up to date')
      .addOption(new Option('--dry-run', 'print the SQL that would run, and run nothing').default(false))
      .addOption(
        new Option('--plan', 'list what would run, and run nothing').default(false).conflicts('dryRun'),
      )
      .addOption(
        new Option('--status', 'say how the schema stands to this program, and run nothing')
          .default(false)
          .conflicts(['dryRun', 'plan']),
      )
      .option('--json', 'print one JSON object at the end', false)
      .option(...quietFlag),
    ['databaseUrl'],
  ).action(
    async (given: Given & { readonly dryRun: boolean; readonly plan: boolean; readonly status: boolean }) =>
      run(composition.migrate, {
        ...givenSettings(given),
        dryRun: given.dryRun,
        plan: given.plan,
        status: given.status,
        json: given.json,
        quiet: given.quiet,
      }),
  );
  const config = root.command('config').description('show the settings, and where each is from');
  addSettingOptions(
    config
      .command('show', { isDefault: true })
      .description('show the settings as `start` would have them, and where each is from')
      .option('--json', 'print one JSON object', false),
  ).action(async (given: Given) =>
    run(composition.configShow, { ...givenSettings(given), json: given.json }),
  );
  config
    .command('schema')
    .description('print the JSON Schema of a configuration file')
    .action(async () => run(composition.configSchema, {}));
}

/** Reads a whole number of at least `least`. */
function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number, ${least} or more.`);
    }
    return value;
  };
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
