import type { ClientBase, Pool } from 'pg';
import { entityOf, type LoggedEvent } from '../log/outbox-event.ts';
import { inShard, type Shard } from '../log/table-page.ts';
import { type TableRow, toLoggedEvent } from '../log/table-row.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** Which letters a feed has to hand over again. */
export interface LettersOf {
  readonly sink: string;
  readonly shard: Shard | undefined;
  /** Later events of an entity wait behind a letter of it. */
  readonly waits: boolean;
}

/** A letter that is to be handed over again. */
export interface Letter {
  readonly id: string;
  readonly logged: LoggedEvent;
}

/** An entity, or a letter without one, that is not to be handed over yet. */
export interface Resting {
  readonly tenantId: string;
  readonly entityKey: string | null;
  readonly id: string;
}

const asked = (shard: Shard | undefined): string =>
  `o.sink = $1 and o.endpoint_id is null and o.state = 'redriving'${inShard(shard)}`;

/** The entities that have letters which are to be handed over again, as {@link entityOf} says them. */
export async function entitiesOfLetters(client: Queryable, of: LettersOf): Promise<Set<string>> {
  const { rows } = await client.query<{ tenantId: string; entityKey: string }>(
    `select distinct o.tenant_id as "tenantId", o.entity_key as "entityKey" from event_runtime.dead_letter o
      where ${asked(of.shard)} and o.entity_key is not null`,
    [of.sink],
  );
  return new Set(rows.map((row) => entityOf(row) as string));
}

/** Older letters `h` of the entity of the letter `o`. */
const older = `event_runtime.dead_letter h
  where h.endpoint_id is null and h.sink = o.sink and h.tenant_id = o.tenant_id and h.entity_key = o.entity_key
    and hashtextextended(h.entity_key, hashtextextended(h.tenant_id, 0))
      = hashtextextended(o.entity_key, hashtextextended(o.tenant_id, 0))
    and h.seq < o.seq`;

/** The entities that have dead letters, as {@link entityOf} says them. */
export async function entitiesWithLetters(client: Queryable, of: LettersOf): Promise<Set<string>> {
  const { rows } = await client.query<{ tenantId: string; entityKey: string }>(
    `select distinct o.tenant_id as "tenantId", o.entity_key as "entityKey" from event_runtime.dead_letter o
      where o.sink = $1 and o.endpoint_id is null and o.state = 'dead' and o.entity_key is not null${inShard(of.shard)}`,
    [of.sink],
  );
  return new Set(rows.map((row) => entityOf(row) as string));
}

/**
 * Letters that only waited behind another are to be handed over once that is redriven or discarded; all of them, where
 * nothing waits any more.
 */
export async function releaseLetters(client: Queryable, of: LettersOf): Promise<void> {
  const behind = of.waits
    ? `and not exists (select from ${older} and h.state = 'dead' and h.reason_code <> 'waits')`
    : '';
  await client.query(
    `update event_runtime.dead_letter o set state = 'redriving'
      where o.sink = $1 and o.endpoint_id is null and o.state = 'dead' and o.reason_code = 'waits'
        ${behind}${inShard(of.shard)}`,
    [of.sink],
  );
}

/** In the order in which {@link toLoggedEvent} has them; a letter knows nothing of the producing transaction. */
const columns = `'0', o.event_id::text, o.seq::text, o.tenant_id, o.ecosystem, o.event_type, o.event_version::text,
  o.entity_key, o.idempotency_key, o.correlation_id, o.causation_id, o.source_service, o.traceparent, o.headers::text,
  o.payload::text, (o.event_recorded_at at time zone 'UTC')::text || '+00', o.dead_letter_id::text`;

/** The next letters in the order of `seq`: as many as the limits allow, but at least one. Where events wait, the first of each entity. */
export async function nextLetters(
  client: Queryable,
  options: LettersOf & {
    readonly except: readonly Resting[];
    readonly limits: { readonly events: number; readonly bytes: number };
  },
): Promise<readonly Letter[]> {
  const { sink, shard, waits, except, limits } = options;
  const entities = except.filter(({ entityKey }) => entityKey !== null);
  const { rows } = await client.query<TableRow & unknown[]>({
    text: `with next as materialized (
       select o.dead_letter_id, o.seq, octet_length(o.payload::text) as bytes
         from event_runtime.dead_letter o
        where ${asked(shard)} and o.dead_letter_id <> all ($2::uuid[])
          and not exists (select from unnest($3::text[], $4::text[]) as x(tenant_id, entity_key)
                           where x.tenant_id = o.tenant_id and x.entity_key = o.entity_key)
          ${waits ? `and not exists (select from ${older})` : ''}
        order by o.seq, o.dead_letter_id limit $5
     ), cut as (
       select n.dead_letter_id, row_number() over w as place, sum(n.bytes) over w as total
         from next n window w as (order by n.seq, n.dead_letter_id rows unbounded preceding)
     )
     select ${columns} from cut c join event_runtime.dead_letter o on o.dead_letter_id = c.dead_letter_id
      where c.place = 1 or c.total <= $6 order by c.place`,
    values: [
      ...[sink, except.filter(({ entityKey }) => entityKey === null).map(({ id }) => id)],
      ...[entities.map(({ tenantId }) => tenantId), entities.map(({ entityKey }) => entityKey)],
      ...[limits.events, limits.bytes],
    ],
    rowMode: 'array',
  });
  return rows.map((row) => ({ id: String(row[16]), logged: toLoggedEvent(row, Date.now()) }));
}

/** Letters that were delivered are gone, but for such as somebody has changed meanwhile. */
export async function removeLetters(client: Queryable, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await client.query(
    `delete from event_runtime.dead_letter where dead_letter_id = any ($1::uuid[]) and state = 'redriving'`,
    [ids],
  );
}
