import type { ClientBase } from 'pg';

/**
 * Announces that a partition of the outbox will be dropped: what every sink has read is written down, before the
 * partition is detached. As the owner of the schema, outside of a transaction.
 *
 * @param options.forced past the maximum: it goes, read or not
 * @param options.archived how many rows were archived; null: there is no archive
 */
export async function beginDrop(
  client: ClientBase,
  options: { readonly name: string; readonly forced: boolean; readonly archived: number | null },
): Promise<void> {
  await client.query('select event_runtime.outbox_drop_begin($1, $2, $3)', [
    options.name,
    options.forced,
    options.archived,
  ]);
}

/**
 * Drops a detached partition that was announced, and marks the sinks that lose rows by it. One statement, hence once:
 * either both have happened or neither.
 *
 * @returns whether it is gone; false: it holds rows that were not to be lost; null: it was not announced
 */
export async function finishDrop(client: ClientBase, name: string): Promise<boolean | null> {
  const { rows } = await client.query<{ gone: boolean | null }>(
    'select event_runtime.outbox_drop_finish($1) as gone',
    [name],
  );
  return rows[0]?.gone ?? null;
}

/** Forgets what was announced for a partition that stays. */
export async function forgetDrop(client: ClientBase, name: string): Promise<void> {
  await client.query('delete from event_runtime.outbox_drop d where d.partition = $1', [name]);
}
