import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { lockForClaim } from '../webhooks/delivery-sql.ts';
import { locked } from './locked.ts';
import { newerSql, planSql, requestSql } from './redrive-sql.ts';
import { type DeadLetterSelection, selectionValues } from './selection.ts';

/** Letters of one transaction: while it runs, no delivery is claimed. */
const chunk = 10_000;

/** So many events of the outbox are looked at for what is newer than the letters. */
const newerLimit = 200_000;

/** What a redrive of a selection would do, as far as it can be known. */
export interface RedrivePlan {
  /** Letters of the selection. */
  readonly found: number;
  /** How many of them would be handed over again. */
  readonly letters: number;
  /** Under way already. */
  readonly underWay: number;
  /** Their events were gone before they were kept: there is nothing to hand over. */
  readonly lost: number;
  /** Their endpoint was removed. */
  readonly endpointGone: number;
  /** Among `letters`: they wait until their endpoint is enabled. */
  readonly endpointDisabled: number;
  /** Of how many entities `letters` are; those without one apart. */
  readonly entities: number;
  readonly withoutEntity: number;
  /**
   * Events of these entities in the outbox that are newer than the oldest letter of theirs, letters included. Which of them
   * their receivers have, nobody can tell from here. Null: there is too much in the outbox to look.
   */
  readonly newerEvents: number | null;
  /** Of webhooks: newer deliveries that are still pending, and will come after. */
  readonly newerPending: number;
}

/** A redrive that was asked for. */
export interface RequestedRedrive {
  /** Of the request: {@link redriveProgress} goes by it. */
  readonly redriveId: string;
  readonly letters: number;
  readonly plan: RedrivePlan;
}

type PlanRow = Omit<RedrivePlan, 'underWay' | 'newerEvents'>;

/** Says what {@link requestRedrive} would do; changes nothing. @throws ER4019, ER4020, ER4021 as it would */
export async function planRedrive(client: ClientBase, selection: DeadLetterSelection): Promise<RedrivePlan> {
  const plan = await planOf(client, selection);
  const { rows } = await client.query<{ looked_at: number; newer: number }>(newerSql, [
    ...selectionValues(selection),
    newerLimit,
  ]);
  const [newer] = rows;
  return { ...plan, newerEvents: newer === undefined || newer.looked_at >= newerLimit ? null : newer.newer };
}

/**
 * Asks that letters be handed over again; it is durable once this resolves, and any number may ask at a time. Those of
 * webhooks are deliveries again, before all that is pending of their entity; those of other sinks are taken by the
 * relay that has the lease, within a second or two. A letter is gone when it is delivered; one that dies again keeps its
 * id, its first time and its attempts.
 *
 * @param options.by who asks, for those who look later
 * @throws ER4019 an id that is no letter's · ER4020 an endpoint was removed · ER4021 an event is gone: where ids were
 *   given, or where nothing else is selected; then nothing was asked for
 */
export async function requestRedrive(
  client: ClientBase,
  selection: DeadLetterSelection,
  options: { readonly by: string },
): Promise<RequestedRedrive> {
  const plan = await planOf(client, selection);
  const redriveId = randomUUID();
  let letters = 0;
  for (let asked = -1; asked !== 0; letters += asked) {
    asked = await locked(client, lockForClaim, async () => {
      const values = [...selectionValues(selection), redriveId, options.by, chunk];
      const { rows } = await client.query<{ letters: number }>(requestSql, values);
      return rows[0]?.letters ?? 0;
    });
  }
  return { redriveId, letters, plan: { ...plan, newerEvents: null } };
}

/** Where a request stands. What was delivered, or discarded, is in neither number. */
export interface RedriveProgress {
  readonly redriving: number;
  /** Dead again. */
  readonly dead: number;
}

export async function redriveProgress(
  client: Pick<ClientBase, 'query'>,
  redriveId: string,
): Promise<RedriveProgress> {
  const { rows } = await client.query<RedriveProgress>(
    `select (count(*) filter (where state = 'redriving'))::int as redriving,
            (count(*) filter (where state = 'dead'))::int as dead
       from event_runtime.dead_letter where redrive_id = $1`,
    [redriveId],
  );
  return rows[0] ?? { redriving: 0, dead: 0 };
}

async function planOf(client: ClientBase, selection: DeadLetterSelection): Promise<RedrivePlan> {
  const { rows } = await client.query<PlanRow>(planSql, selectionValues(selection));
  const [row] = rows as [PlanRow];
  const underWay = row.found - row.letters - row.lost - row.endpointGone;
  refuseImpossible(selection, row);
  return { ...row, underWay, newerEvents: null };
}

/** Who names a letter wants that one. Of many, those that can go do. */
function refuseImpossible(selection: DeadLetterSelection, plan: PlanRow): void {
  const { found, letters, lost, endpointGone } = plan;
  const named = selection.ids !== undefined;
  const missing = new Set(selection.ids).size - found;
  if (named && missing > 0) throw noSuchLetters(missing);
  if (endpointGone > 0 && (named || letters === 0)) {
    throw runtimeError('ER4020', { detail: `That is so of ${endpointGone} of ${found}.` });
  }
  if (lost > 0 && (named || letters === 0)) {
    throw runtimeError('ER4021', { detail: `That is so of ${lost} of ${found}.` });
  }
}

/** @param missing how many of the ids that were given are no letter's */
export function noSuchLetters(missing: number): Error {
  return runtimeError('ER4019', {
    detail: missing === 1 ? 'One id that was given is none.' : `${missing} ids that were given are none.`,
  });
}
