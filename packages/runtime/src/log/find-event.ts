import type { ClientBase, Pool } from 'pg';
import type { LoggedEvent } from './outbox-event.ts';
import { rowColumns, type TableRow, toLoggedEvent } from './table-row.ts';

const columns = rowColumns
  .map((name) =>
    name === 'recorded_at' ? `(recorded_at at time zone 'UTC')::text || '+00'` : `${name}::text as ${name}`,
  )
  .join(', ');

/**
 * One event of the outbox, whatever the sinks have done with it; undefined: it is not there, or not any more.
 *
 * @param eventId a UUID
 */
export async function findEvent(
  client: Pick<ClientBase | Pool, 'query'>,
  eventId: string,
): Promise<LoggedEvent | undefined> {
  const { rows } = await client.query<TableRow & unknown[]>({
    text: `select ${columns} from event_runtime.outbox where event_id = $1 limit 1`,
    values: [eventId],
    rowMode: 'array',
  });
  const [row] = rows;
  return row === undefined ? undefined : toLoggedEvent(row, Date.now());
}
