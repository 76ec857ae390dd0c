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
}

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
    'set local role event_runtime_owner',
    `create function ${called}() returns trigger
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as ${dollarQuoted(triggerBody(mapping))}`,
    `comment on function ${called}() is ${pg.escapeLiteral(JSON.stringify(record)).trimStart()}`,
    `revoke all on function ${called}() from public`,
    'reset role',
    `create trigger ${attachedTrigger}
after insert on ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}
for each row execute function ${called}()`,
  ];
}

/** With the function goes its trigger, and with that the triggers of partitions. */
export function detachmentSql(functionName: string): readonly string[] {
  return [
    'set local role event_runtime_owner',
    `drop function event_runtime.${pg.escapeIdentifier(functionName)}() cascade`,
    'reset role',
  ];
}

/** A script for a team's own migrations. */
export function script(statements: readonly string[]): string {
  return ['begin', "set local lock_timeout = '1s'", ...statements, 'commit']
    .map((each) => `${each};\n`)
    .join('');
}

/**
 * Runs with the rights of the schema's owner on rows of whoever owns the table. So it casts nothing whose type the
 * table names: a cast to text may be a function of the type's owner. `format` asks the type's output function, which
 * only a superuser can make.
 */
function triggerBody(mapping: Mapping): string {
  const headers = Object.entries(mapping).filter(([name]) => name.startsWith('header.'));
  const args = Object.entries(mapping).flatMap(([name, source]) => argument(name, { source, mapping }));
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

function argument(
  name: string,
  { source, mapping }: { readonly source: FieldSource; readonly mapping: Mapping },
): string[] {
  if (name.startsWith('header.')) return [];
  const text = textOf(source);
  switch (name) {
    case 'event_id':
      // The event has an id of its own. The row's makes a second event of the same row impossible.
      return 'idempotency_key' in mapping ? [] : [`idempotency_key => ${text}`];
    case 'idempotency_key': {
      const id = mapping['event_id'];
      return [`${name} => ${id === undefined ? text : `coalesce(${text}, ${textOf(id)})`}`];
    }
    case 'tenant':
      return [`tenant_id => ${text}`];
    case 'traceparent':
      return [`${name} => ${traceparent(text)}`];
    default:
      return [`${name} => ${text}${casts[fieldNamed(name)?.kind ?? 'text']}`];
  }
}

/** Null where the column is null or empty, and where one of several is. */
function textOf(source: FieldSource): string {
  if ('constant' in source) return pg.escapeLiteral(source.constant).trimStart();
  return source.columns
    .map((column) => `nullif(pg_catalog.format('%s', new.${pg.escapeIdentifier(column)}), '')`)
    .join(" || '/' || ");
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
