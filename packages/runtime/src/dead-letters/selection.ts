/** Which dead letters are meant: those for which all holds that is given. */
export interface DeadLetterSelection {
  /** Ids of letters, UUIDs. */
  readonly ids?: readonly string[] | undefined;
  /** A group of like errors. */
  readonly group?: string | undefined;
  readonly sink?: string | undefined;
  readonly tenant?: string | undefined;
  /** Of the event; `*` stands for any characters. */
  readonly type?: string | undefined;
  /** Died then or later. */
  readonly since?: Date | undefined;
}

/** How many parameters {@link selected} has. */
export const selectionParameters = 6;

/** What stands behind WHERE for the letters `l` of a selection, by the parameters $1 to $6. */
export const selected = `
  ($1::uuid[] is null or l.dead_letter_id = any ($1::uuid[]))
  and ($2::text is null or l.group_id = $2)
  and ($3::text is null or l.sink = $3)
  and ($4::text is null or l.tenant_id = $4)
  and ($5::text is null or l.event_type like
        replace(replace(replace(replace($5, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%'))
  and ($6::timestamptz is null or l.dead_at >= $6)`;

/** The values of those parameters. */
export function selectionValues(selection: DeadLetterSelection): unknown[] {
  const { ids, group, sink, tenant, type, since } = selection;
  return [
    ids ?? null,
    group ?? null,
    sink ?? null,
    tenant ?? null,
    type ?? null,
    since?.toISOString() ?? null,
  ];
}

/** An instant as JSON has it. */
export function instant(column: string): string {
  return `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}
