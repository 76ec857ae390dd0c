import type { ClientBase } from 'pg';
import { inChunks, type LettersProgress } from './chunks.ts';
import { refuseMissing } from './discard.ts';
import { type DeadLetterSelection, selected, selectionValues } from './selection.ts';

/** What became of letters that were being redriven. */
export interface CancelledRedrive {
  /** Dead as before: they can be redriven again. */
  readonly letters: number;
  /** Webhooks that are being sent at this moment, or are about to be: what becomes of these decides. */
  readonly underWay: number;
  /** They were never refused, they only waited behind another letter: they go on after it. */
  readonly waiting: number;
}

/** Letters `l` that only waited: there is nothing to go back to. */
const waiting = `l.endpoint_id is null and l.reason_code = 'waits'`;

/** The delivery `q` of a letter `l` of a webhook, where one is to be made; and whether somebody has it. */
const queued = `left join event_runtime.webhook_delivery q
    on q.endpoint_id = l.endpoint_id and q.event_id = l.event_id and q.delivery_id < 0`;
const held = `coalesce(q.claimed_until > statement_timestamp(), false)`;

/** $1 ids of letters. Attempts of a delivery that goes were attempts at the letter. */
const cancelSql = `
with letter as materialized (
  select l.dead_letter_id, q.delivery_id, q.attempts, ${waiting} as waiting, ${held} as held
  from event_runtime.dead_letter l ${queued}
  where l.dead_letter_id = any ($1::uuid[]) and l.state = 'redriving'
), dequeued as (
  delete from event_runtime.webhook_delivery q using letter x
  where q.delivery_id = x.delivery_id and not x.held
), cancelled as (
  update event_runtime.dead_letter d set state = 'dead', attempts = d.attempts + coalesce(x.attempts, 0)
  from letter x
  where d.dead_letter_id = x.dead_letter_id and d.state = 'redriving' and not x.held and not x.waiting
  returning d.dead_letter_id
)
select (select count(*)::int from cancelled) as letters,
       (count(*) filter (where x.held))::int as "underWay", (count(*) filter (where x.waiting))::int as waiting
  from letter x`;

/**
 * Takes back what {@link requestRedrive} asked for: letters that are not handed over yet are dead as before, with the
 * errors and times that they had, and nothing of their entities waits for them. One that is on its way is not stopped; it
 * is gone when it is delivered.
 *
 * @throws ER4019 an id that is no letter's; then nothing is changed
 */
export async function cancelRedrive(
  client: ClientBase,
  selection: DeadLetterSelection,
  options: { readonly onProgress?: LettersProgress } = {},
): Promise<CancelledRedrive> {
  await refuseMissing(client, selection);
  const total = { letters: 0, underWay: 0, waiting: 0 };
  const from = `event_runtime.dead_letter l where l.state = 'redriving'`;
  // Newer ones first: what is handed over meanwhile has nothing dead before it.
  const which = { selection, from, order: 'l.seq desc, l.dead_letter_id desc', ...options };
  for await (const each of inChunks<CancelledRedrive>(client, which, { text: cancelSql, values: [] })) {
    total.letters += each.letters;
    total.underWay += each.underWay;
    total.waiting += each.waiting;
  }
  return total;
}

/** Says what {@link cancelRedrive} would do now; changes nothing. @throws ER4019 */
export async function planCancel(
  client: ClientBase,
  selection: DeadLetterSelection,
): Promise<CancelledRedrive> {
  await refuseMissing(client, selection);
  const { rows } = await client.query<CancelledRedrive>(
    `select (count(*) filter (where not x.held and not x.waiting))::int as letters,
            (count(*) filter (where x.held))::int as "underWay", (count(*) filter (where x.waiting))::int as waiting
       from (select ${waiting} as waiting, ${held} as held from event_runtime.dead_letter l ${queued}
              where l.state = 'redriving' and ${selected}) x`,
    selectionValues(selection),
  );
  return rows[0] as CancelledRedrive;
}
