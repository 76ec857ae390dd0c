import pg from 'pg';
import { type ColumnKind, type FieldSource, fieldNamed, type Mapping } from './mapping.ts';

/** The trigger's name on every attached table. */
export const attachedTrigger = 'event_runtime_emit';

/** What is kept with the function, as its comment. */
export interface AttachmentRecord {
  /** `schema.table` as it was called when it was attached. */
  readonly table: string;
  readonly mapping: Mapping;
}

export interface Attachment extends AttachmentRecord {
  readonly schema: string;
  readonly name: string;
  /** In schema event_runtime. */
  readonly functionName: string;
  /** An UPDATE may move a row to another partition, which is an INSERT there. */
  readonly partitioned: boolean;
}

/** RESET ROLE would forget a role that the session was given before, and outlast the transaction. */
const asOwner = [
  "select set_config('event_runtime.role_before', current_setting('role'), true)",
  'set local role event_runtime_owner',
];
const asBefore = "select set_config('role', current_setting('event_runtime.role_before'), true)";

/**
 * The statements that attach a table, in their order; to be run in one transaction, by a role that may SET ROLE to
 * event_runtime_owner and has TRIGGER on the table. The last one waits for open writers of the table, and new ones wait
 * for it.
 */
export function attachmentSql(attachment: Attachment): readonly string[] {
  const { schema, name, functionName, table, mapping } = attachment;
  const called = `event_runtime.${pg.escapeIdentifier(functionName)}`;
  const record: AttachmentRecord = { table, mapping };
  return [
    ...asOwner,
    `create function ${called}() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as ${dollarQuoted(triggerBody(attachment))}`,
    `comment on function ${called}() is ${pg.escapeLiteral(JSON.stringify(record)).trimStart()}`,
    `revoke all on function ${called}() from public`,
    asBefore,
    `create trigger ${attachedTrigger}
after insert on ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}
for each row execute function ${called}()`,
  ];
}

/** With the function goes its trigger, and with that the triggers of partitions. */
export function detachmentSql(functionName: string): readonly string[] {
  return [...asOwner, `drop function event_runtime.${pg.escapeIdentifier(functionName)}() cascade`, asBefore];
}

/** A script for a team's own migrations. */
export function script(statements: readonly string[]): string {
  const all = ['begin', "set local lock_timeout = '1s'", "set local statement_timeout = '2s'", ...statements];
  return `${scriptNote}${[...all, 'commit'].map((each) => `${each};\n`).join('')}`;
}

const scriptNote = `-- A transaction of its own. Where your migration tool runs each migration in one, leave out begin and commit: this commit
-- would end the tool's. The two timeouts then hold to the end of that one.
`;

/**
 * Runs with the rights of the schema's owner on rows of whoever owns the table. So it casts nothing whose type the
 * table names: a cast to text may be a function of the type's owner. `format` asks the type's output function, which
 * only a superuser can make.
 */
function triggerBody(attachment: Attachment): string {
  const { mapping } = attachment;
  const headers = Object.entries(mapping).filter(([name]) => name.startsWith('header.'));
  const args = Object.entries(mapping).flatMap(([name, source]) => argument(name, source));
  const key = idempotencyKey(attachment);
  if (key !== undefined) args.push(`idempotency_key => ${key}`);
  if (headers.length > 0) args.push(`headers => ${headersObject(headers)}`);
  return `
begin
  perform from event_runtime.emit(
    ${args.join(',\n    ')}
  );
  return null;
end
`;
}

/** Of text, which is what `textOf` makes of whatever it is. */
const casts: Readonly<Record<ColumnKind, string>> = {
  text: '',
  json: '::pg_catalog.json',
  integer: '::pg_catalog.int4',
};

function argument(name: string, source: FieldSource): string[] {
  if (name.startsWith('header.') || ['event_id', 'idempotency_key'].includes(name)) return [];
  const text = textOf(source);
  switch (name) {
    case 'tenant':
      return [`tenant_id => ${text}`];
    case 'traceparent':
      return [`${name} => ${traceparent(text)}`];
    default:
      return [`${name} => ${text}${casts[fieldNamed(name)?.kind ?? 'text']}`];
  }
}

/**
 * The key that was mapped; where there is none and the table is partitioned, the row's id, so that a row that moves is
 * no second event. A plain table needs no key for that: there a second row with an id of before is a new one, and an
 * event that a key would lose. Keys belong to a tenant and to whoever calls emit, so each has the function's name before
 * it: no other table and no caller of emit has the same.
 */
function idempotencyKey({ functionName, mapping, partitioned }: Attachment): string | undefined {
  const keys: string[] = [];
  const { event_id: id, idempotency_key: own } = mapping;
  if (own !== undefined) keys.push(`'${functionName}:key:' || ${joinedKey(own)}`);
  if (id !== undefined && partitioned) keys.push(`'${functionName}:id:' || ${textOf(id)}`);
  return keys.length > 1 ? `coalesce(${keys.join(', ')})` : keys[0];
}

/** As `textOf`, but other columns never make the same text: `~` and `/` in them are written as `~0` and `~1`. */
function joinedKey(source: FieldSource): string {
  if ('constant' in source || source.columns.length === 1) return textOf(source);
  return source.columns
    .map((column) => `pg_catalog.replace(pg_catalog.replace(${columnText(column)}, '~', '~0'), '/', '~1')`)
    .join(" || '/' || ");
}

/** Null where the column is null or empty, and where one of several is. */
function textOf(source: FieldSource): string {
  if ('constant' in source) return pg.escapeLiteral(source.constant).trimStart();
  return source.columns.map(columnText).join(" || '/' || ");
}

function columnText(column: string): string {
  return `nullif(pg_catalog.format('%s', new.${pg.escapeIdentifier(column)}), '')`;
}

/** Also out of a text of Java properties, as Debezium's extensions write it. What is none is left out: no reason to fail. */
function traceparent(text: string): string {
  const pattern = '(?n)^(?:traceparent=)?([0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})[[:space:]]*$';
  return `pg_catalog.substring(${text}, '${pattern}')`;
}

/** Without those that are null; null when all are. */
function headersObject(headers: ReadonlyArray<readonly [string, FieldSource]>): string {
  const pairs = headers.map(([name, source]) => `'${name.slice('header.'.length)}', ${textOf(source)}`);
  const object = `pg_catalog.json_strip_nulls(pg_catalog.json_build_object(${pairs.join(', ')}))`;
  return `nullif(${object}::pg_catalog.text, '{}')::pg_catalog.json`;
}

/** With a tag that is not in the text, so that nothing in it ends it. */
function dollarQuoted(text: string): string {
  let tag = '$attached$';
  for (let n = 1; text.includes(tag); n += 1) tag = `$attached${n}$`;
  return `${tag}${text}${tag}`;
}
