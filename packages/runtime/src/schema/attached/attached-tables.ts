import type { ClientBase } from 'pg';
import type { AttachmentRecord } from './attachment-sql.ts';
import { type Mapping, mappedColumns } from './mapping.ts';

/** A table that was attached, and whether its rows become events. */
export interface AttachedTable {
  /** `schema.table` as it is called now; as it was called when it was attached, where the trigger is gone. */
  readonly table: string;
  /** In schema event_runtime. */
  readonly functionName: string;
  /** Null: its comment was changed. */
  readonly mapping: Mapping | null;
  /** missing: the trigger was dropped, or the table. disabled: it, or that of a partition, is switched off. */
  readonly trigger: 'enabled' | 'disabled' | 'missing';
  /** Tables and partitions whose trigger is switched off. */
  readonly disabled: readonly string[];
  /** Mapped columns that the table has not. */
  readonly missingColumns: readonly string[];
}

/** A function of an attached table is known by its name; what was made with it, by its comment. */
const attachedSql = `
select p.proname::text as "functionName", obj_description(p.oid, 'pg_proc') as comment,
       (select format('%I.%I', n.nspname, c.relname)
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = root.tgrelid) as table,
       array(select format('%I.%I', n.nspname, c.relname)
               from pg_catalog.pg_trigger t
               join pg_catalog.pg_class c on c.oid = t.tgrelid
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
              where t.tgfoid = p.oid and t.tgenabled in ('D', 'R') order by 1) as disabled,
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = root.tgrelid and a.attnum > 0 and not a.attisdropped) as columns
  from pg_catalog.pg_proc p
  left join pg_catalog.pg_trigger root on root.tgfoid = p.oid and root.tgparentid = 0
 where p.pronamespace = to_regnamespace('event_runtime') and p.prorettype = 'pg_catalog.trigger'::regtype
   and p.proname ~ '^attached_'
 order by 3, 1`;

/** The tables that are attached in this database. Reads the catalogue alone: any role may. */
export async function attachedTables(client: ClientBase): Promise<AttachedTable[]> {
  const { rows } = await client.query<{
    functionName: string;
    comment: string | null;
    table: string | null;
    disabled: string[];
    columns: string[];
  }>(attachedSql);
  return rows.map(({ functionName, comment, table, disabled, columns }) => {
    const record = recordOf(comment);
    const missing =
      table === null ? [] : mappedColumns(record?.mapping ?? {}).filter((each) => !columns.includes(each));
    return {
      table: table ?? record?.table ?? '(unknown)',
      functionName,
      mapping: record?.mapping ?? null,
      trigger: triggerState(table, disabled),
      disabled,
      missingColumns: missing,
    };
  });
}

function triggerState(table: string | null, disabled: readonly string[]): AttachedTable['trigger'] {
  if (table === null) return 'missing';
  return disabled.length > 0 ? 'disabled' : 'enabled';
}

function recordOf(comment: string | null): AttachmentRecord | undefined {
  if (comment === null) return undefined;
  try {
    const record = JSON.parse(comment) as Partial<AttachmentRecord>;
    const { table, mapping } = record;
    return typeof table === 'string' && typeof mapping === 'object' ? { table, mapping } : undefined;
  } catch {
    return undefined;
  }
}
