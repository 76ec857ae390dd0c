import { detachmentSql, dropSlot, inShortTransaction } from '@event-runtime/runtime';
import type pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { openSite } from './site.ts';
import { planUninstall, type UninstallPlan } from './uninstall-plan.ts';

export interface UninstallOptions extends GivenSettings {
  readonly dryRun: boolean;
  readonly yes: boolean;
}

/**
 * `event-runtime uninstall`: takes slot, publication, schema and roles out of the database.
 *
 * @throws ER5001 neither --dry-run nor --yes; ER1318 a relay is running; ER1319 other objects stand on the schema;
 *   ER1407 a lock was not to be had
 */
export async function uninstallCommand(
  context: CommandContext,
  options: UninstallOptions,
): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  if (options.dryRun === options.yes) {
    throw serverError('ER5001', {
      detail: 'Nothing was done: uninstall needs either --dry-run or --yes.',
      remedy:
        'Look first: `event-runtime uninstall --dry-run`. With --yes every event in the outbox is gone.',
    });
  }
  await using site = await openSite(context, options);
  const plan = await planUninstall(site.client, site.slot);
  if (options.dryRun) {
    if (json) terminal.out(JSON.stringify({ removed: false, ...plan }));
    else for (const line of planLines(plan)) terminal.out(line);
    return exitCode.ok;
  }
  refuse(plan);
  await remove(site.client, { plan, signal });
  if (json) terminal.out(JSON.stringify({ removed: true, ...plan }));
  else terminal.out('event-runtime has been removed from this database.');
  return exitCode.ok;
}

function refuse({ running, slots, dependents }: UninstallPlan): void {
  const readers = slots.filter(({ active }) => active).map(({ name }) => `slot ${name} is being read`);
  if (running.length + readers.length > 0) {
    throw serverError('ER1318', { detail: `Seen: ${[...running, ...readers].join(', ')}.` });
  }
  if (dependents.length > 0) throw serverError('ER1319', { detail: `They are ${dependents.join(', ')}.` });
}

/**
 * Slots first: what can be left behind by a failure afterwards is then a schema without a slot, which harms nobody, and
 * not a slot that fills the disk. The rest is one transaction, so that no table of others is left without its trigger while
 * everything else stays. Whoever emits, or writes such a table, waits behind it: it is tried with locks that are not waited
 * for long.
 */
async function remove(
  client: pg.Client,
  { plan, signal }: { readonly plan: UninstallPlan; readonly signal: AbortSignal },
): Promise<void> {
  for (const { name } of plan.slots) await dropSlot(client, { slot: name, timeoutMs: 0, signal });
  await inShortTransaction(client, {
    locked: ['schema event_runtime', ...plan.tables.map(({ table }) => table)].join(', '),
    work: async () => await removeRest(client, plan),
    // To drop all of the schema takes its time without any waiting.
    statementTimeoutMs: 10_000,
    signal,
  });
}

async function removeRest(client: pg.Client, plan: UninstallPlan): Promise<void> {
  for (const { functionName } of plan.tables) {
    for (const statement of detachmentSql(functionName)) await client.query(statement);
  }
  if (plan.publication) await client.query('drop publication event_runtime');
  if (plan.schema) await client.query('drop schema event_runtime cascade');
  if (plan.keptRoles.includes('event_runtime_owner')) {
    // The one trace of it that is neither in the schema nor goes with the role.
    await client.query(
      'alter default privileges for role event_runtime_owner grant execute on functions to public',
    );
  }
  for (const { name } of plan.roles) {
    if (await hasLeftovers(client, name)) await client.query(`drop owned by ${name}`);
    await client.query(`drop role ${name}`);
  }
}

/** What is left of a role when the schema is gone: default privileges, grants on the database. No object is its own. */
async function hasLeftovers(client: pg.Client, role: string): Promise<boolean> {
  const { rows } = await client.query(
    `select from pg_catalog.pg_shdepend d
      where d.refclassid = 'pg_authid'::regclass and d.refobjid = to_regrole($1) limit 1`,
    [role],
  );
  return rows.length > 0;
}

function planLines(plan: UninstallPlan): string[] {
  const { slots, publication, schema, tables, events, roles, keptRoles, running, dependents } = plan;
  const lines = [
    ...slots.map(({ name, active }) => `slot ${name}${active ? ' (it is being read)' : ''}`),
    ...(publication ? ['publication event_runtime'] : []),
    ...tables.map(({ table }) => `the trigger on table ${table}: its rows become events no more`),
    ...(schema
      ? [`schema event_runtime, with about ${events.toLocaleString('en-US')} events in its outbox`]
      : []),
    ...roles.map(
      ({ name, members }) =>
        `role ${name}${members.length === 0 ? '' : `, of which ${members.join(', ')} is a member`}`,
    ),
  ];
  return [
    lines.length === 0 ? 'There is nothing to remove.' : 'This would be removed:',
    ...lines.map((line) => `  ${line}`),
    ...keptRoles.map((name) => `Role ${name} stays: another database of this cluster uses it.`),
    ...running.map((holder) => `In the way: relay ${holder} is running.`),
    ...dependents.map((name) => `In the way: ${name} stands on the schema.`),
    'Nothing was changed.',
  ];
}
