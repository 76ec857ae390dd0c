import { createHash } from 'node:crypto';
import type { ClientBase } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { sqlState } from '../../internal/sql-state.ts';
import { type AttachedTable, attachedTables } from './attached-tables.ts';
import { type Attachment, attachedTrigger, attachmentSql, detachmentSql, script } from './attachment-sql.ts';
import { invalidMapping, type Mapping, mappingProblems } from './mapping.ts';
import { presetMapping, type TablePreset } from './presets.ts';
import { inShortTransaction, type LockPatience } from './short-transaction.ts';
import {
  namesNothing,
  readTableShape,
  shapeProblems,
  shapeWarnings,
  type TableShape,
} from './table-shape.ts';

export interface AttachmentRequest {
  /** As SQL writes it: `public.outbox_events`, `public."OutboxEvent"`. */
  readonly table: string;
  readonly preset?: TablePreset | undefined;
  /** Goes before what the preset says. */
  readonly mapping: Mapping;
}

/** What attaching a table comes to. */
export interface AttachmentPlan extends Attachment {
  /** What may surprise, in words. */
  readonly warnings: readonly string[];
  /** A script that does it, with its own transaction. */
  readonly sql: string;
}

/**
 * Looks whether a table can be attached, and how. Changes nothing.
 *
 * @throws ER1101 no schema; ER1302 no right to act for its owner; ER1401 no table that can be; ER1402 the mapping does not fit it; ER1403 it is attached
 */
export async function planAttachment(
  client: ClientBase,
  request: AttachmentRequest,
): Promise<AttachmentPlan> {
  await checkReady(client);
  const shape = await readTableShape(client, request.table);
  const mapping =
    request.preset === undefined
      ? request.mapping
      : presetMapping(request.preset, { columns: new Set(shape.columns.keys()), over: request.mapping });
  const general = mappingProblems(mapping);
  const problems = general.length > 0 ? general : shapeProblems(mapping, shape);
  if (problems.length > 0) throw invalidMapping(problems);
  await refuseTriggers(client, shape.table);
  const { schema, name, table, partitioned } = shape;
  const functionName = await freeName(client, shape);
  const attachment: Attachment = { schema, name, table, mapping, functionName, partitioned };
  const warnings = shapeWarnings(mapping, shape);
  return { ...attachment, warnings, sql: script(attachmentSql(attachment)) };
}

/**
 * Makes the trigger. Writers of the table wait while it is made, and for as long as an attempt waits for its locks.
 *
 * @param client a session outside of a transaction; its role may SET ROLE to the owner
 * @throws ER1302 a right is missing; ER1401, ER1403 a trigger or function was made meanwhile; ER1407 the lock was not to be
 *   had; retryable
 */
export async function attachTable(
  client: ClientBase,
  { plan, ...patience }: LockPatience & { readonly plan: AttachmentPlan },
): Promise<void> {
  try {
    await runShortly(client, { table: plan.table, statements: attachmentSql(plan), ...patience });
  } catch (cause) {
    // duplicate_object, duplicate_function
    if (!['42710', '42723'].includes(String(sqlState(cause)))) throw cause;
    await refuseTriggers(client, plan.table);
    const detail = `Function event_runtime.${plan.functionName} was made meanwhile: run it again.`;
    throw runtimeError('ER1401', { detail, cause });
  }
}

/**
 * Takes trigger and function away, also where one of them is there no more.
 *
 * @param client as of `attachTable`
 * @throws ER1302 a right is missing; ER1407 the lock was not to be had; retryable
 */
export async function detachTable(
  client: ClientBase,
  {
    attached,
    ...patience
  }: LockPatience & { readonly attached: Pick<AttachedTable, 'table' | 'functionName'> },
): Promise<void> {
  const { table, functionName } = attached;
  await runShortly(client, { table, statements: detachmentSql(functionName), ...patience });
}

async function runShortly(
  client: ClientBase,
  {
    table,
    statements,
    ...patience
  }: LockPatience & { readonly table: string; readonly statements: readonly string[] },
): Promise<void> {
  const work = async (): Promise<void> => {
    for (const statement of statements) await client.query(statement);
  };
  await inShortTransaction(client, { locked: table, work, ...patience });
}

/** The attached table of this name. @throws ER1404 none is */
export async function findAttached(client: ClientBase, name: string): Promise<AttachedTable> {
  const all = await attachedTables(client);
  const { rows } = await client
    .query<{ table: string }>(
      `select format('%I.%I', n.nspname, c.relname) as table
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.oid = to_regclass($1)`,
      [name],
    )
    .catch((cause: unknown) => {
      if (!namesNothing(cause)) throw cause;
      return { rows: [] };
    });
  const wanted = rows[0]?.table ?? name;
  const found = all.find(({ table }) => table === wanted) ?? all.find(({ table }) => table === name);
  if (found !== undefined) return found;
  const names = all.map(({ table }) => table);
  throw runtimeError('ER1404', {
    detail: `Asked for: ${name}. Attached: ${names.length === 0 ? 'none' : names.join(', ')}.`,
  });
}

/** @throws ER1101, ER1302 */
async function checkReady(client: ClientBase): Promise<void> {
  const { rows } = await client.query<{ migrated: boolean; may: boolean; role: string }>(
    `select exists (select from pg_catalog.pg_proc p
                     where p.pronamespace = to_regnamespace('event_runtime') and p.proname = 'emit') as migrated,
            coalesce((select pg_has_role(o.oid, case when current_setting('server_version_num')::int < 160000
                                                     then 'member' else 'set' end)
                        from pg_catalog.pg_roles o where o.rolname = 'event_runtime_owner'), false) as may,
            quote_ident(current_user) as role`,
  );
  const { migrated, may, role } = rows[0] ?? { migrated: false, may: false, role: '' };
  if (!migrated) throw runtimeError('ER1101', { detail: 'There is no event_runtime.emit.' });
  if (!may) throw runtimeError('ER1302', { detail: `${role} may not SET ROLE event_runtime_owner.` });
}

/**
 * There can be one trigger of a name, on the table and on each of its partitions.
 *
 * @throws ER1403 the table is attached; ER1401 it or a partition has another trigger in the way
 */
async function refuseTriggers(client: ClientBase, table: string): Promise<void> {
  const { rows } = await client.query<{ table: string; ours: boolean }>(
    `select format('%I.%I', n.nspname, c.relname) as table, p.pronamespace = to_regnamespace('event_runtime') as ours
       from (select $1::regclass as oid union select relid from pg_partition_tree($1::regclass)) r
       join pg_catalog.pg_trigger t on t.tgrelid = r.oid
       join pg_catalog.pg_proc p on p.oid = t.tgfoid
       join pg_catalog.pg_class c on c.oid = r.oid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where t.tgname = $2 or p.pronamespace = to_regnamespace('event_runtime')
      order by c.oid <> $1::regclass, 1`,
    [table, attachedTrigger],
  );
  const found = rows[0];
  if (found === undefined) return;
  if (!found.ours) {
    const detail = `${found.table} has a trigger ${attachedTrigger} that is not ours: rename it.`;
    throw runtimeError('ER1401', { detail });
  }
  if (found.table === table) throw runtimeError('ER1403', { detail: `Seen: ${table}.` });
  throw runtimeError('ER1401', { detail: `Its partition ${found.table} is attached: detach that first.` });
}

/** For people, who read it in the catalogue, and before the keys of the table's events. */
async function freeName(client: ClientBase, shape: TableShape): Promise<string> {
  const base = functionBaseName(shape);
  const { rows } = await client.query<{ name: string }>(
    `select p.proname::text as name from pg_catalog.pg_proc p where p.pronamespace = to_regnamespace('event_runtime')`,
  );
  const taken = new Set(rows.map((row) => row.name));
  let free = base;
  for (let n = 2; taken.has(free); n += 1) free = `${base}_${n}`;
  return free;
}

/** Of letters, digits and `_`, up to 56; another one for each table, also where a name had to be changed or cut for it. */
function functionBaseName({ schema, name, table }: TableShape): string {
  const plain = `attached_${schema}_${name}`;
  if (/^[a-z0-9]+$/.test(schema) && /^[a-z0-9_]+$/.test(name) && plain.length <= 56) return plain;
  const hash = createHash('sha256').update(table).digest('hex').slice(0, 8);
  return `${plain
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]+/g, '_')
    .slice(0, 47)}_${hash}`;
}
