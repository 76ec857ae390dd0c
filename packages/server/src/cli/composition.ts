import type { GivenSettings } from '../config/load-configuration.ts';
import type { DemoCommandOptions } from '../demo/demo-command.ts';
import type { DeadLettersCancelOptions } from '../operations/cancel-command.ts';
import type { DeadLetterShowOptions, DeadLettersListOptions } from '../operations/dead-letters-command.ts';
import type { DeadLettersDiscardOptions } from '../operations/discard-command.ts';
import type { LagOptions } from '../operations/lag-command.ts';
import type { DeadLettersRedriveOptions } from '../operations/redrive-command.ts';
import type { RelayConfigOptions } from '../operations/relay-config-command.ts';
import type {
  ReplayChangeOptions,
  ReplayCreateOptions,
  ReplayListOptions,
  ReplayShowOptions,
} from '../operations/replay-command.ts';
import type { SinkRewindCommandOptions } from '../operations/rewind-command.ts';
import type { RoutesTestOptions } from '../operations/routes-command.ts';
import type { SinkPauseCommandOptions } from '../operations/sinks-command.ts';
import type { SlotOptions } from '../operations/slot-command.ts';
import type { TableAttachOptions, TableDetachOptions } from '../operations/tables-command.ts';
import type { UninstallOptions } from '../operations/uninstall-command.ts';
import type { CommandContext } from './command-context.ts';
import type { ExitCode } from './exit-code.ts';
import type { ExplainOptions } from './explain-command.ts';

/** One command's work. */
export type Command<Options> = (context: CommandContext, options: Options) => Promise<ExitCode>;

export interface MigrateOptions extends GivenSettings {
  /** Print the SQL that would run, and run nothing. */
  readonly dryRun: boolean;
  /** List what would run, and run nothing. */
  readonly plan: boolean;
  /** Say how the schema stands to this program, and run nothing. */
  readonly status: boolean;
}

/** What the command line can do: its words are parsed in `program.ts`, the work is composed elsewhere. */
export interface Composition {
  readonly start: Command<GivenSettings>;
  readonly configShow: Command<GivenSettings>;
  readonly configSchema: Command<object>;
  readonly dev: Command<object>;
  readonly migrate: Command<MigrateOptions>;
  readonly demo: Command<DemoCommandOptions>;
  readonly explain: Command<ExplainOptions>;
  readonly status: Command<GivenSettings>;
  readonly lag: Command<LagOptions>;
  readonly doctor: Command<GivenSettings>;
  readonly slot: Command<SlotOptions>;
  readonly sinksList: Command<GivenSettings>;
  readonly sinkPause: Command<SinkPauseCommandOptions>;
  readonly sinkRewind: Command<SinkRewindCommandOptions>;
  readonly replayCreate: Command<ReplayCreateOptions>;
  readonly replayList: Command<ReplayListOptions>;
  readonly replayShow: Command<ReplayShowOptions>;
  readonly replayChange: Command<ReplayChangeOptions>;
  readonly deadLettersList: Command<DeadLettersListOptions>;
  readonly deadLetterShow: Command<DeadLetterShowOptions>;
  readonly deadLettersRedrive: Command<DeadLettersRedriveOptions>;
  readonly deadLettersCancel: Command<DeadLettersCancelOptions>;
  readonly deadLettersDiscard: Command<DeadLettersDiscardOptions>;
  readonly routesTest: Command<RoutesTestOptions>;
  readonly tableAttach: Command<TableAttachOptions>;
  readonly tableDetach: Command<TableDetachOptions>;
  readonly tablesList: Command<GivenSettings>;
  readonly relayConfig: Command<RelayConfigOptions>;
  readonly uninstall: Command<UninstallOptions>;
}
