import { runtimeError } from '../../errors/codes.ts';

/** What the relay must know of the publication that it reads through. */
export interface Publication {
  /**
   * The transaction that made it, or changed it last, or put the outbox into it. What was committed before may have been
   * left out of the WAL's stream, without a word: the server decodes by the publication of that time.
   */
  readonly changedBy: bigint;
  /** Why it does not carry every insert into the outbox, whole and under the name of the root; empty: it does. */
  readonly problems: readonly string[];
  /** Up to five other tables that it carries. */
  readonly others: readonly string[];
}

interface PublicationRow {
  readonly changed_by: string;
  readonly inserts: boolean;
  readonly via_root: boolean;
  readonly has_outbox: boolean;
  readonly others: readonly string[];
  readonly row_filter: string | null;
  readonly missing_columns: readonly string[];
}

/**
 * A row's xmin has 32 bits; with the upper half of the present it is the id that it was, unless the row is older than
 * four billion transactions: then it seems younger, which costs a catch-up from the table.
 */
const wide = (xmin: string): string => `
       (select w.present - w.present % 4294967296 + ${xmin}::text::numeric
               - case when w.present % 4294967296 < ${xmin}::text::numeric then 4294967296 else 0 end
          from (select pg_snapshot_xmax(pg_current_snapshot())::text::numeric as present) w)`;

const publicationSql = `
select greatest(${wide('p.xmin')}, ${wide('r.xmin')})::text as changed_by,
       p.pubinsert as inserts, p.pubviaroot as via_root, o.tablename is not null as has_outbox,
       o.rowfilter as row_filter,
       array(select t.schemaname || '.' || t.tablename from pg_catalog.pg_publication_tables t
              where t.pubname = p.pubname and (t.schemaname, t.tablename) <> ('event_runtime', 'outbox')
              order by 1 limit 5) as others,
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = to_regclass('event_runtime.outbox') and a.attnum > 0 and not a.attisdropped
                and o.tablename is not null and not a.attname = any (o.attnames)) as missing_columns
  from pg_catalog.pg_publication p
  left join pg_catalog.pg_publication_tables o
    on o.pubname = p.pubname and o.schemaname = 'event_runtime' and o.tablename = 'outbox'
  left join pg_catalog.pg_publication_rel r
    on r.prpubid = p.oid and r.prrelid = to_regclass('event_runtime.outbox')
 where p.pubname = $1`;

/** The publication as it is now; undefined: there is none of this name. */
export async function describePublication(
  client: { query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }> },
  name: string,
): Promise<Publication | undefined> {
  const row = (await client.query(publicationSql, [name])).rows[0] as PublicationRow | undefined;
  if (row === undefined) return undefined;
  const problems = [
    row.has_outbox ? '' : 'event_runtime.outbox is not in it',
    row.inserts ? '' : 'it does not publish inserts',
    row.via_root ? '' : 'publish_via_partition_root is off',
    row.row_filter === null ? '' : `it leaves out rows: ${row.row_filter}`,
    row.missing_columns.length === 0 ? '' : `it leaves out ${row.missing_columns.join(', ')}`,
  ];
  return {
    changedBy: BigInt(row.changed_by),
    problems: problems.filter((text) => text !== ''),
    others: row.others,
  };
}

/** The publication, if it carries what the relay reads. @throws ER1204 there is none; ER1303 it does not */
export async function usablePublication(
  client: Parameters<typeof describePublication>[0],
  name: string,
): Promise<Publication> {
  const found = await describePublication(client, name);
  if (found === undefined) throw runtimeError('ER1204', { detail: `There is no publication ${name}.` });
  if (found.problems.length > 0) {
    throw runtimeError('ER1303', { detail: `Publication ${name}: ${found.problems.join('; ')}.` });
  }
  return found;
}
