import type { ClientBase, Pool } from 'pg';
import {
  type DeadLetterSelection,
  instant,
  selected,
  selectionParameters,
  selectionValues,
} from './selection.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** Letters that died of like errors: same sink, endpoint, code and type, and reasons that differ in numbers and ids only. */
export interface DeadLetterGroup {
  readonly group: string;
  readonly sink: string;
  /** Of a webhook; null for any other sink. */
  readonly endpointId: string | null;
  readonly eventType: string;
  readonly reasonCode: string;
  /** Of the letter that was kept last. Somebody else wrote it: anything may be in it. */
  readonly reason: string;
  readonly letters: number;
  /** How many of them are being redriven. */
  readonly redriving: number;
  readonly tenants: number;
  /** When the first failure of any of them was, and when the last of them died. RFC 3339, UTC. */
  readonly firstFailedAt: string;
  readonly lastDiedAt: string;
}

/** An event that a sink gave up on. */
export interface DeadLetter {
  readonly id: string;
  /** Which one kept it, and hands it over again; null: of a webhook, or it is not known. */
  readonly relay: string | null;
  readonly group: string;
  /** `redriving`: it was asked to be handed over again, and that is not over. */
  readonly state: 'dead' | 'redriving';
  readonly sink: string;
  readonly endpointId: string | null;
  readonly tenant: string;
  readonly ecosystem: string | null;
  readonly eventId: string;
  readonly seq: string;
  readonly recordedAt: string;
  readonly entityKey: string | null;
  readonly eventType: string;
  readonly reasonCode: string;
  /** Somebody else wrote it: anything may be in it. */
  readonly reason: string;
  /** All there were, those of every redrive included. */
  readonly attempts: number;
  /** RFC 3339, UTC; of its first life. */
  readonly firstFailedAt: string;
  /** When it died, the last time. */
  readonly diedAt: string;
  /** How often it was asked to be handed over again, and the last time when and by whom. */
  readonly redrives: number;
  readonly redriveAt: string | null;
  readonly redriveBy: string | null;
  /** The replay by which it was handed over; null: it is of the event as it happened. The replay may be gone by now. */
  readonly replayId: string | null;
}

/** A letter with what was to be delivered. */
export interface WholeDeadLetter extends DeadLetter {
  /** Byte for byte as emitted. Null: the event was gone from the outbox before the letter was kept. */
  readonly payload: Buffer | null;
  /** The producer's own, as they were given: a JSON object. */
  readonly headers: string | null;
  readonly eventVersion: number | null;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly sourceService: string | null;
  readonly traceparent: string | null;
}

const columns = `
  l.dead_letter_id as id, l.group_id as "group", l.state, nullif(l.relay, '') as relay, l.sink,
  l.endpoint_id as "endpointId", l.tenant_id as tenant,
  l.ecosystem, l.event_id as "eventId", l.seq::text, ${instant('l.event_recorded_at')} as "recordedAt",
  l.entity_key as "entityKey", l.event_type as "eventType", l.reason_code as "reasonCode", l.reason, l.attempts,
  ${instant('l.first_failed_at')} as "firstFailedAt", ${instant('l.dead_at')} as "diedAt", l.redrives,
  ${instant('l.redrive_at')} as "redriveAt", l.redrive_by as "redriveBy",
  l.replay_id as "replayId"`;

/**
 * The groups of a selection, that in which a letter died last first. Who asks as event_runtime_viewer sees what is of
 * the tenant of the session; so with everything here.
 *
 * @param options.limit most groups; default 100
 */
export async function listDeadLetterGroups(
  client: Queryable,
  selection: DeadLetterSelection,
  options: { readonly limit?: number } = {},
): Promise<readonly DeadLetterGroup[]> {
  const { rows } = await client.query<DeadLetterGroup>(
    `select g."group", g.sink, g."endpointId", g."eventType", g."reasonCode", r.reason, g.letters, g.redriving, g.tenants,
            ${instant('g.first')} as "firstFailedAt", ${instant('g.last')} as "lastDiedAt"
       from (select l.group_id as "group", min(l.sink) as sink, min(l.endpoint_id::text) as "endpointId",
                    min(l.event_type) as "eventType", min(l.reason_code) as "reasonCode", count(*)::int as letters,
                    (count(*) filter (where l.state = 'redriving'))::int as redriving,
                    count(distinct l.tenant_id)::int as tenants,
                    min(l.first_failed_at) as first, max(l.dead_at) as last
               from event_runtime.dead_letter l where ${selected}
              group by l.group_id order by last desc, l.group_id limit $${selectionParameters + 1}) g
      cross join lateral (
        select l.reason from event_runtime.dead_letter l
         where l.group_id = g."group" and ${selected} order by l.dead_letter_id desc limit 1) r
      order by g.last desc, g."group"`,
    [...selectionValues(selection), options.limit ?? 100],
  );
  return rows;
}

/**
 * Letters of a selection, those that were kept last first.
 *
 * @param options.limit most letters; default 100
 * @param options.after the id that the page before ended with: `next` of it
 */
export async function listDeadLetters(
  client: Queryable,
  selection: DeadLetterSelection,
  options: { readonly limit?: number; readonly after?: string | undefined } = {},
): Promise<{ readonly letters: readonly DeadLetter[]; readonly next: string | null }> {
  const { limit = 100, after } = options;
  const { rows } = await client.query<DeadLetter>(
    `select ${columns} from event_runtime.dead_letter l
      where ${selected} and ($7::uuid is null or l.dead_letter_id < $7) order by l.dead_letter_id desc limit $8`,
    [...selectionValues(selection), after ?? null, limit + 1],
  );
  const letters = rows.slice(0, limit);
  return { letters, next: rows.length > limit ? (letters.at(-1)?.id ?? null) : null };
}

/** One letter with its payload; undefined: there is none of this id. */
export async function showDeadLetter(client: Queryable, id: string): Promise<WholeDeadLetter | undefined> {
  const { rows } = await client.query<Omit<WholeDeadLetter, 'payload'> & { readonly payload: string }>(
    `select ${columns}, l.payload::text, l.headers::text, l.event_version as "eventVersion",
            l.idempotency_key as "idempotencyKey", l.correlation_id as "correlationId",
            l.causation_id as "causationId", l.source_service as "sourceService", l.traceparent
       from event_runtime.dead_letter l where l.dead_letter_id = $1`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  return { ...row, payload: row.eventVersion === null ? null : Buffer.from(row.payload) };
}
