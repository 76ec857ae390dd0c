import type { ClientBase } from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { sqlState } from '../../internal/sql-state.ts';
import { type ColumnKind, type FieldSource, fieldNamed, type Mapping } from './mapping.ts';

/** A table of a team's, as far as it matters for attaching it. */
export interface TableShape {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** `schema.table`, quoted where SQL asks for it. */
  readonly table: string;
  readonly partitioned: boolean;
  readonly columns: ReadonlyMap<string, Column>;
}

interface Column {
  /** As SQL writes it: `character varying(255)`. */
  readonly type: string;
  /** What it can be used for. */
  readonly kinds: readonly ColumnKind[];
  readonly notNull: boolean;
  /** Whole or not. */
  readonly number: boolean;
  /** A unique index of all rows has it as its one key. */
  readonly unique: boolean;
}

interface TableRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly table: string;
  readonly kind: string;
  readonly temporary: boolean;
  readonly leaf: string | null;
  readonly may: boolean;
  readonly role: string;
}

const tableSql = `
select c.oid::int8::float8 as oid, n.nspname::text as schema, c.relname::text as name,
       format('%I.%I', n.nspname, c.relname) as table, c.relkind::text as kind,
       c.relpersistence = 't' as temporary,
       case when c.relispartition then
         (select format('%I.%I', pn.nspname, p.relname)
            from pg_catalog.pg_class p join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
           where p.oid = pg_partition_root(c.oid)) end as leaf,
       has_table_privilege(c.oid, 'trigger') as may, quote_ident(current_user) as role
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where c.oid = to_regclass($1)`;

/** Of a domain, the type below it. */
const columnsSql = `
with recursive typed as (
  select a.attnum, t.typname, t.typnamespace, t.typcategory, t.typtype, t.typbasetype
    from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
   where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
  union all
  select d.attnum, t.typname, t.typnamespace, t.typcategory, t.typtype, t.typbasetype
    from typed d join pg_catalog.pg_type t on t.oid = d.typbasetype
   where d.typtype = 'd'
)
select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as not_null,
       a.attgenerated = 'v' as virtual, t.typname::text as base, t.typcategory::text as category,
       exists (select from pg_catalog.pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indisvalid
                  and i.indnkeyatts = 1 and i.indkey[0] = a.attnum and i.indpred is null) as unique
  from pg_catalog.pg_attribute a
  join typed t on t.attnum = a.attnum and t.typtype <> 'd'
 where a.attrelid = $1
 order by a.attnum`;

/** Looks a table up. @throws ER1401 there is none of this name, or it is none that can be attached */
export async function readTableShape(client: ClientBase, name: string): Promise<TableShape> {
  const row = await findTable(client, name);
  const refusal = row === undefined ? `There is no table ${name} in this database.` : whyNot(row);
  if (row === undefined || refusal !== undefined) throw runtimeError('ER1401', { detail: refusal ?? '' });
  const { rows } = await client.query<{
    name: string;
    type: string;
    not_null: boolean;
    virtual: boolean;
    base: string;
    category: string;
    unique: boolean;
  }>(columnsSql, [row.oid]);
  const columns = rows.map((each): [string, Column] => [
    each.name,
    {
      type: each.type,
      kinds: kindsOf(each),
      notNull: each.not_null,
      number: ['int2', 'int4', 'int8', 'numeric'].includes(each.base),
      unique: each.unique,
    },
  ]);
  const { oid, schema, table } = row;
  return { oid, schema, name: row.name, table, partitioned: row.kind === 'p', columns: new Map(columns) };
}

async function findTable(client: ClientBase, name: string): Promise<TableRow | undefined> {
  try {
    return (await client.query<TableRow>(tableSql, [name])).rows[0];
  } catch (cause) {
    if (!namesNothing(cause)) throw cause;
    return undefined;
  }
}

/**
 * Whether to_regclass failed because of what it was given: it is no name as SQL writes it (syntax_error, invalid_name),
 * which PostgreSQL 16 takes for one that there is not; or it names another database (feature_not_supported).
 */
export function namesNothing(cause: unknown): boolean {
  return ['42601', '42602', '0A000'].includes(String(sqlState(cause)));
}

const kindNames: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  i: 'an index',
  I: 'an index',
  S: 'a sequence',
  c: 'a composite type',
};

function whyNot({ table, schema, kind, temporary, leaf, may, role }: TableRow): string | undefined {
  if (kind !== 'r' && kind !== 'p') return `${table} is ${kindNames[kind] ?? 'no table'}.`;
  if (schema === 'event_runtime') return `${table} is a table of event-runtime itself.`;
  if (temporary) return `${table} is a temporary table.`;
  if (leaf !== null) return `${table} is a partition: attach ${leaf}.`;
  if (!may) return `Role ${role} may not make a trigger: GRANT TRIGGER ON ${table} TO ${role};`;
  return undefined;
}

interface ColumnType {
  readonly base: string;
  readonly category: string;
  readonly virtual: boolean;
}

/** A trigger does not see a virtual generated column. `character(n)` is filled up with blanks. */
function kindsOf({ base, category, virtual }: ColumnType): ColumnKind[] {
  if (virtual || base === 'bpchar') return [];
  if (['int2', 'int4', 'int8'].includes(base)) return ['integer', 'text'];
  if (['uuid', 'numeric'].includes(base) || category === 'E') return ['text'];
  if (base === 'json' || base === 'jsonb') return ['json'];
  return category === 'S' ? ['text', 'json'] : [];
}

/** What of a mapping does not fit a table; nothing when it does. */
export function shapeProblems(mapping: Mapping, shape: TableShape): string[] {
  const problems: string[] = [];
  for (const [field, source] of columnSources(mapping)) {
    for (const name of source.columns) {
      const column = shape.columns.get(name);
      const kind = fieldNamed(field)?.kind ?? 'text';
      if (column === undefined) {
        problems.push(`${field}: ${shape.table} has no column ${name}`);
      } else if (!column.kinds.includes(kind)) {
        problems.push(`${field}: column ${name} is ${column.type}, which cannot be read as ${kind}`);
      }
    }
  }
  const key = problems.length === 0 ? keyProblem(mapping, shape) : undefined;
  return key === undefined ? problems : [key];
}

/** An UPDATE that moves a row to another partition is, for a trigger, an INSERT there. */
function keyProblem(mapping: Mapping, shape: TableShape): string | undefined {
  const key = columnsOf(mapping['idempotency_key'], shape);
  const id = columnsOf(mapping['event_id'], shape);
  if (!shape.partitioned || neverNull(key)) return undefined;
  if (!neverNull(id)) {
    return (
      `${shape.table} is partitioned: map event_id or idempotency_key to a column that is NOT NULL, so that a row that ` +
      'an UPDATE moves to another partition is not a second event'
    );
  }
  if (!id.some(({ number }) => number)) return undefined;
  return (
    `event_id: ${shape.table} is partitioned, and numbers begin anew (TRUNCATE ... RESTART IDENTITY, a table made ` +
    'anew): a new row with the number of an earlier one could not be told from that one moved, and would be no event. ' +
    'Map event_id to a uuid; or map idempotency_key to what is never used again, which is the number if you promise it'
  );
}

function neverNull(columns: readonly Column[]): boolean {
  return columns.length > 0 && columns.every(({ notNull }) => notNull);
}

function columnsOf(source: FieldSource | undefined, { columns }: TableShape): Column[] {
  if (source === undefined || 'constant' in source) return [];
  return source.columns.flatMap((name) => columns.get(name) ?? []);
}

/** What is allowed, and may surprise. */
export function shapeWarnings(mapping: Mapping, shape: TableShape): string[] {
  const { columns, table, partitioned } = shape;
  const warnings: string[] = [];
  for (const [field, source] of columnSources(mapping)) {
    for (const name of source.columns) {
      const column = columns.get(name);
      if (['event_type', 'payload', 'tenant'].includes(field) && column?.notNull === false) {
        warnings.push(`${table}.${name} may be null: an INSERT without ${field} will fail`);
      }
      if (field === 'event_id' && partitioned && column?.unique === false) {
        warnings.push(
          `no unique index has ${table}.${name} alone: a second row with the same id will be no event`,
        );
      }
    }
  }
  if (partitioned) {
    warnings.push(
      `${table} is partitioned: a row that an UPDATE moves to another partition more than 30 days (retention.keyDays) ` +
        'after it was inserted is an event again; so is one that was inserted before the table was attached',
    );
  }
  const key = columnsOf(mapping['idempotency_key'], shape);
  if (key.some(({ number }) => number)) {
    warnings.push(
      'idempotency_key has a number: where it begins anew (TRUNCATE ... RESTART IDENTITY, a table made anew), rows with ' +
        'a number of the last 30 days (retention.keyDays) are no events',
    );
  }
  if (!('entity_key' in mapping)) warnings.push('no entity_key is mapped: no order between events');
  return warnings;
}

function columnSources(
  mapping: Mapping,
): Array<readonly [string, Extract<FieldSource, { columns: readonly string[] }>]> {
  return Object.entries(mapping).flatMap(([field, source]) =>
    'columns' in source ? [[field, source] as const] : [],
  );
}
