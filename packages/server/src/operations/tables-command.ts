import {
  type AttachedTable,
  type AttachmentPlan,
  attachedTables,
  attachTable,
  detachTable,
  type FieldSource,
  findAttached,
  type Mapping,
  parseMapping,
  planAttachment,
  type TablePreset,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { openSite } from './site.ts';
import { table } from './table.ts';

export interface TableAttachOptions extends GivenSettings {
  /** As SQL writes it. */
  readonly table: string;
  readonly preset: TablePreset | undefined;
  /** `field=column`, `field=column+column`, `field=:constant`. */
  readonly map: readonly string[];
  /** Print the SQL, and run nothing. */
  readonly dryRun: boolean;
}

export interface TableDetachOptions extends GivenSettings {
  readonly table: string;
  /** Say what would change, and change nothing. */
  readonly dryRun: boolean;
}

/**
 * `event-runtime tables attach`: from now on each row that is inserted into the table is an event.
 *
 * @throws ER1401 to ER1403, ER1407
 */
export async function tableAttachCommand(
  context: CommandContext,
  options: TableAttachOptions,
): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  const { preset, dryRun } = options;
  const mapping = parseMapping(options.map);
  await using site = await openSite(context, options);
  const plan = await planAttachment(site.client, { table: options.table, preset, mapping });
  if (!dryRun) await attachTable(site.client, { plan, signal });
  if (json) {
    terminal.out(JSON.stringify({ attached: !dryRun, ...plan }));
    return exitCode.ok;
  }
  for (const warning of plan.warnings) terminal.note(`${terminal.colors.yellow('!')} ${warning}`);
  if (dryRun) terminal.out(plan.sql.trimEnd());
  else for (const line of attachedLines(plan)) terminal.out(line);
  return exitCode.ok;
}

function attachedLines({ table: name, mapping }: AttachmentPlan): string[] {
  return [
    `${name} is attached: each row that is inserted from now on is an event.`,
    ...mappingLines(mapping).map((line) => `  ${line}`),
    'Rows that are in it already are not events.',
  ];
}

/** `event-runtime tables detach`: rows are no events any more; those that became events stay. @throws ER1404, ER1407 */
export async function tableDetachCommand(
  context: CommandContext,
  options: TableDetachOptions,
): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  await using site = await openSite(context, options);
  const attached = await findAttached(site.client, options.table);
  if (!options.dryRun) await detachTable(site.client, { attached, signal });
  if (json) terminal.out(JSON.stringify({ table: attached.table, detached: !options.dryRun }));
  else if (options.dryRun) terminal.out(`${attached.table} would be detached.\nNothing was changed.`);
  else terminal.out(`${attached.table} is detached: rows that are inserted from now on are no events.`);
  return exitCode.ok;
}

/** `event-runtime tables list`: the attached tables. */
export async function tablesListCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { terminal, json } = context;
  await using site = await openSite(context, given);
  const tables = await attachedTables(site.client);
  if (json) {
    terminal.out(JSON.stringify({ tables }));
    return exitCode.ok;
  }
  if (tables.length === 0) {
    terminal.out('No table is attached.');
    return exitCode.ok;
  }
  for (const line of table(
    ['table', 'state'],
    tables.map((each) => [each.table, stateOf(each)]),
  )) {
    terminal.out(line);
  }
  for (const { table: name, mapping } of tables) {
    terminal.out('');
    terminal.out(name);
    for (const line of mapping === null ? ['(its mapping cannot be read)'] : mappingLines(mapping)) {
      terminal.out(`  ${line}`);
    }
  }
  return exitCode.ok;
}

/** In a word or two. */
function stateOf({ trigger, missingColumns }: AttachedTable): string {
  if (trigger === 'missing') return 'trigger is missing';
  if (trigger === 'disabled') return 'trigger is disabled';
  return missingColumns.length > 0 ? `no column ${missingColumns.join(', ')}` : 'attached';
}

/** In the form of `--map`. */
function mappingLines(mapping: Mapping): string[] {
  return Object.entries(mapping).map(([field, source]) => `${field}=${sourceText(source)}`);
}

function sourceText(source: FieldSource): string {
  return 'columns' in source ? source.columns.join('+') : `:${source.constant}`;
}
