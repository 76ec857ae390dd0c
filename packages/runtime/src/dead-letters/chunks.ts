import type { ClientBase, QueryResultRow } from 'pg';
import { lockForClaim } from '../webhooks/delivery-sql.ts';
import { locked } from './locked.ts';
import { type DeadLetterSelection, selected, selectionParameters, selectionValues } from './selection.ts';

/** Of one transaction: while letters of webhooks are changed, no delivery is claimed. */
const chunkLetters = 1_000;

/** For letters of other sinks: operators change them one after another. The bytes of "evrtdead". Per database. */
const lockForLetters = 'select pg_advisory_xact_lock(7311156889308717412)';

const lockRows = `select from event_runtime.dead_letter l where l.dead_letter_id = any ($1::uuid[])
  order by l.dead_letter_id for update`;

/** Told after each transaction: how many letters were gone through, of how many. */
export type LettersProgress = (done: number, total: number) => void;

export interface ChunksOptions {
  readonly selection: DeadLetterSelection;
  /** What stands behind FROM for the letters `l` that are meant, with a WHERE that the selection is added to. */
  readonly from: string;
  /** Which ones go first. */
  readonly order: string;
  readonly onProgress?: LettersProgress | undefined;
}

interface Chunk {
  /** As PostgreSQL writes a `uuid[]`: it goes back as it came. */
  readonly ids: string;
  readonly letters: number;
  readonly webhooks: boolean;
}

/**
 * Goes through the letters that a selection has now, in short transactions, each under the lock that its letters need:
 * those of webhooks under that of claims, no others. Whoever was faster with a letter has changed it by then.
 *
 * @param change a statement: $1 is given the ids of letters, as `uuid[]`
 * @returns what it returned, after each commit
 */
export async function* inChunks<Row extends QueryResultRow>(
  client: ClientBase,
  options: ChunksOptions,
  change: { readonly text: string; readonly values: readonly unknown[] },
): AsyncGenerator<Row> {
  const { selection, from, order, onProgress } = options;
  const chunk = `c.place / $${selectionParameters + 1}::int`;
  const { rows } = await client.query<Chunk>(
    `select array_agg(c.id order by c.place)::text as ids, count(*)::int as letters, c.webhooks
       from (select l.dead_letter_id as id, l.endpoint_id is not null as webhooks,
                    row_number() over (partition by l.endpoint_id is not null order by ${order}) - 1 as place
               from ${from} and ${selected}) c
      group by c.webhooks, ${chunk} order by c.webhooks, ${chunk}`,
    [...selectionValues(selection), chunkLetters],
  );
  const total = rows.reduce((sum, { letters }) => sum + letters, 0);
  let done = 0;
  for (const { ids, letters, webhooks } of rows) {
    const changed = await locked(client, webhooks ? lockForClaim : lockForLetters, async () => {
      // In the order in which relays remove them: two that each have what the other wants would be a deadlock.
      await client.query(lockRows, [ids]);
      return await client.query<Row>(change.text, [ids, ...change.values]);
    });
    yield* changed.rows;
    done += letters;
    onProgress?.(done, total);
  }
}
