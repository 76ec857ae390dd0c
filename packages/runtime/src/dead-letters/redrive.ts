import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import { runtimeError } from '../errors/codes.ts';
import { inChunks, type LettersProgress } from './chunks.ts';
import { askable, askableOrder, newerSql, planSql, requestSql } from './redrive-sql.ts';
import { type DeadLetterSelection, selectionValues } from './selection.ts';

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
 * @param options.relay takes over letters whose relay is not known, or never had such a sink; default: they stay
 * @param options.takeOver it also takes over those of relays that do not feed the sink now: of one that was renamed, or
 *   has no such sink any more. Default false: one may only be stopped
 * @param options.onProgress told how far the asking is: it is a while for a great many
 * @throws ER4019 an id that is no letter's · ER4020 an endpoint was removed · ER4021 an event is gone: where ids were
 *   given, or where nothing else is selected; then nothing was asked for
 */
export async function requestRedrive(
  client: ClientBase,
  selection: DeadLetterSelection,
  options: {
    readonly by: string;
    readonly relay?: string;
    readonly takeOver?: boolean;
    readonly onProgress?: LettersProgress;
  },
): Promise<RequestedRedrive> {
  const { by, relay, takeOver = false, onProgress } = options;
  const plan = await planOf(client, selection);
  const redriveId = randomUUID();
  let letters = 0;
  const which = { selection, from: askable, order: askableOrder, onProgress };
  const request = { text: requestSql, values: [redriveId, by, relay ?? null, takeOver] };
  for await (const asked of inChunks<{ letters: number }>(client, which, request)) letters += asked.letters;
  return { redriveId, letters, plan: { ...plan, newerEvents: null } };
}

/** Where a request stands. What was delivered, or discarded, is in no number. */
export interface RedriveProgress {
  readonly redriving: number;
  /** Dead again. */
  readonly dead: number;
  /** Taken back: see `cancelRedrive`. */
  readonly cancelled: number;
}

export async function redriveProgress(
  client: Pick<ClientBase, 'query'>,
  redriveId: string,
): Promise<RedriveProgress> {
  const { rows } = await client.query<RedriveProgress>(
    `select (count(*) filter (where state = 'redriving'))::int as redriving,
            (count(*) filter (where state = 'dead' and dead_at >= redrive_at))::int as dead,
            (count(*) filter (where state = 'dead' and dead_at < redrive_at))::int as cancelled
       from event_runtime.dead_letter where redrive_id = $1`,
    [redriveId],
  );
  return rows[0] ?? { redriving: 0, dead: 0, cancelled: 0 };
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
