import type { ClientBase } from 'pg';
import type { Logger } from '../telemetry/logger.ts';
import { lockForClaim } from '../webhooks/delivery-sql.ts';
import { locked } from './locked.ts';
import { noSuchLetters } from './redrive.ts';
import { type DeadLetterSelection, selected, selectionValues } from './selection.ts';

/** Letters of one transaction: while it runs, no delivery is claimed. */
const chunk = 10_000;

export interface DiscardOptions {
  /** Why, and who says so: both are logged. */
  readonly reason: string;
  readonly by: string;
  readonly logger: Logger;
}

/** What was discarded. */
export interface Discarded {
  readonly letters: number;
  /** Among them: they were being redriven, and may have been delivered at that moment. */
  readonly redriving: number;
}

/** $7 how many. The deliveries of letters that are redriven go with them. */
const discardSql = `
with gone as (
  delete from event_runtime.dead_letter d
  where d.dead_letter_id in (
    select l.dead_letter_id from event_runtime.dead_letter l where ${selected} order by l.dead_letter_id limit $7)
  returning d.dead_letter_id, d.state, d.endpoint_id, d.event_id
), dequeued as (
  delete from event_runtime.webhook_delivery q using gone g
  where q.endpoint_id = g.endpoint_id and q.event_id = g.event_id and q.delivery_id < 0
)
select count(*)::int as letters, (count(*) filter (where g.state = 'redriving'))::int as redriving,
       coalesce((array_agg(g.dead_letter_id::text order by g.dead_letter_id))[1:100], '{}') as ids
  from gone g`;

/**
 * Deletes letters for good, with their payloads, also such as are being redriven. Each transaction is logged as
 * `letters.discarded`, with the first hundred ids.
 *
 * @throws ER4019 an id that is no letter's; then nothing is deleted
 */
export async function discardDeadLetters(
  client: ClientBase,
  selection: DeadLetterSelection,
  options: DiscardOptions,
): Promise<Discarded> {
  const { reason, by, logger } = options;
  await refuseMissing(client, selection);
  const total = { letters: 0, redriving: 0 };
  for (;;) {
    const { letters, redriving, ids } = await locked(client, lockForClaim, async () => {
      const values = [...selectionValues(selection), chunk];
      const { rows } = await client.query<Discarded & { readonly ids: readonly string[] }>(
        discardSql,
        values,
      );
      return rows[0] ?? { letters: 0, redriving: 0, ids: [] };
    });
    if (letters === 0) return total;
    logger.warn('letters.discarded', { letters, redriving, reason, by, ids });
    total.letters += letters;
    total.redriving += redriving;
  }
}

async function refuseMissing(client: ClientBase, selection: DeadLetterSelection): Promise<void> {
  if (selection.ids === undefined) return;
  const { rows } = await client.query<{ found: number }>(
    `select count(*)::int as found from event_runtime.dead_letter l where ${selected}`,
    selectionValues(selection),
  );
  const missing = new Set(selection.ids).size - (rows[0]?.found ?? 0);
  if (missing > 0) throw noSuchLetters(missing);
}
