import type { ClientBase } from 'pg';

const hourMs = 3_600_000;

/** Of ticks older than an hour, one stays for each stretch of this length. */
const every = '10 seconds';

/** How far back it looks: the hours that earlier rounds have done cost one look. */
const hoursBack = 48;

/**
 * Thins out the ticks of the last two days, as the owner of the schema: they are stored once a second, and that
 * closely they are of use for minutes. Any of them may go: the reader takes the next one.
 *
 * It pays because it happens on the day itself: autovacuum gives the room of the nine in ten that go to the ticks of
 * the hours that follow. Hence a day's partition stays as small as an hour of all ticks and a day of thin ones. To thin
 * out older days further would free no disk: nothing is written there any more.
 *
 * @param options.now milliseconds since 1970, by the database's clock
 * @returns how many went
 */
export async function thinTicks(
  client: ClientBase,
  { now, signal }: { readonly now: number; readonly signal: AbortSignal },
): Promise<number> {
  let gone = 0;
  const lastHour = Math.floor(now / hourMs) * hourMs - hourMs;
  for (let hour = lastHour - hoursBack * hourMs; hour < lastHour; hour += hourMs) {
    signal.throwIfAborted();
    // At most 3,600 rows, in a transaction of their own.
    const { rowCount } = await client.query(
      `delete from event_runtime.tick t
        using (select e.xid, e.at,
                      row_number() over (partition by date_bin($3, e.at, '2000-01-01') order by e.xid) as place
                 from event_runtime.tick e
                where e.at >= $1 and e.at < $2) d
        where t.at >= $1 and t.at < $2 and t.xid = d.xid and t.at = d.at and d.place > 1`,
      [new Date(hour), new Date(hour + hourMs), every],
    );
    gone += rowCount ?? 0;
  }
  return gone;
}
