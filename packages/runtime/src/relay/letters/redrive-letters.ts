import type { ClientBase, Pool, QueryResultRow } from 'pg';
import { letterEntity } from '../../log/letters-sql.ts';
import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';
import { inShard, type Shard } from '../../log/table-page.ts';
import { type TableRow, toLoggedEvent } from '../../log/table-row.ts';
import { storable } from './dead-letter.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** Which letters a feed has to hand over again. */
export interface LettersOf {
  readonly relay: string;
  readonly sink: string;
  readonly shard: Shard | undefined;
  /** Later events of an entity wait behind a letter of it. */
  readonly waits: boolean;
}

/** A letter that is to be handed over again. */
export interface Letter {
  readonly id: string;
  /** How often it had been tried when it was read. */
  readonly attempts: number;
  readonly logged: LoggedEvent;
}

/** An entity, or a letter without one, that is not to be handed over yet. */
export interface Resting {
  readonly tenantId: string;
  readonly entityKey: string | null;
  readonly id: string;
}

/** So many letters of an entity go at a time, where others wait behind them. */
const runLetters = 20;

/** So many letters are released by a statement: it locks them. */
const releaseAtOnce = 1_000;

const ofSink = (shard: Shard | undefined): string =>
  `o.sink = $1 and o.relay = $2 and o.endpoint_id is null${inShard(shard)}`;

const asked = (shard: Shard | undefined): string => `${ofSink(shard)} and o.state = 'redriving'`;

const waiting = (shard: Shard | undefined): string =>
  `${ofSink(shard)} and o.state = 'dead' and o.reason_code = 'waits'`;

/** Behind a dead letter `o` others wait; not behind one of a replay: the event itself was in its own turn before. */
const keepsOthers = (o: string): string => `${o}.replay_id is null`;

/** Older dead letters `h` of the entity of the letter `o`, which waits behind them. */
const olderDead = `event_runtime.dead_letter h
  where h.endpoint_id is null and h.sink = o.sink and h.relay = o.relay and h.state = 'dead' and ${keepsOthers('h')}
    and h.entity_key is not null and ${letterEntity('h')} = ${letterEntity('o')}
    and h.tenant_id = o.tenant_id and h.entity_key = o.entity_key and h.seq < o.seq`;

/** By name, the hashes of the entities that have such letters `o`: one step in an index for each, however many letters it has. */
function entitiesBy(name: string, letters: string): string {
  const first = `${letterEntity('o')} as hash from event_runtime.dead_letter o where ${letters} and o.entity_key is not null`;
  return `${name}(hash) as (
    (select ${first} order by o.sink, o.relay, 1 limit 1)
    union all
    select (select ${first} and ${letterEntity('o')} > e.hash order by o.sink, o.relay, 1 limit 1) from ${name} e where e.hash is not null
  )`;
}

/** The oldest that wait of each entity, those behind a letter that only an operator can set going left out. */
const oldestWaiting = (shard: Shard | undefined): string => `${entitiesBy('waiting', waiting(shard))},
  oldest as materialized (
    select o.dead_letter_id from waiting e cross join lateral (
      select o.dead_letter_id, o.sink, o.relay, o.tenant_id, o.entity_key, o.seq from event_runtime.dead_letter o
       where ${waiting(shard)} and o.entity_key is not null and ${letterEntity('o')} = e.hash
       order by o.seq limit ${runLetters}
    ) o where not exists (select from ${olderDead} and h.reason_code <> 'waits') limit ${releaseAtOnce}
  )`;

/**
 * Sets going what waits of the letters with these ids. Their rows are locked in the order in which operators and other
 * relays lock them: two that each have what the other wants would be a deadlock.
 */
const release = (shard: Shard | undefined, ids: string): string => `held as materialized (
    select o.dead_letter_id from event_runtime.dead_letter o
     where o.dead_letter_id = any (array(${ids})) and ${waiting(shard)} order by o.dead_letter_id for update
  )
  update event_runtime.dead_letter o set state = 'redriving'
   where o.dead_letter_id = any (array(select h.dead_letter_id from held h))`;

interface EntityRow {
  readonly tenantId: string;
  readonly entityKey: string;
}

/** So many entities are read at a time: the process has other things to do. */
const entitiesAtOnce = 5_000;

/** What a query finds, page by page, as of one moment. */
async function* inPages<Row extends QueryResultRow>(
  pool: Pool,
  query: { readonly text: string; readonly values: () => readonly unknown[]; readonly settings?: string },
): AsyncGenerator<Row> {
  const client = await pool.connect();
  let whole = false;
  try {
    await client.query(
      "begin isolation level repeatable read; set local idle_in_transaction_session_timeout = '10s'",
    );
    if (query.settings !== undefined) await client.query(query.settings);
    await client.query(`declare letters no scroll cursor for ${query.text}`, [...query.values()]);
    for (let count = entitiesAtOnce; count === entitiesAtOnce; ) {
      const { rows } = await client.query<Row>(`fetch ${entitiesAtOnce} from letters`);
      yield* rows;
      count = rows.length;
    }
    await client.query('commit');
    whole = true;
  } finally {
    client.release(!whole);
  }
}

/** The entities of letters `o`. */
const letterEntities = `select o.tenant_id as "tenantId", o.entity_key as "entityKey" from event_runtime.dead_letter o
  where o.entity_key is not null`;

/**
 * The entities that have letters which are to be handed over again, and those whose letters only waited, as
 * {@link entityOf} says them.
 */
export async function entitiesOfLetters(pool: Pool, of: LettersOf): Promise<Set<string>> {
  const text = `${letterEntities} and ${asked(of.shard)} union ${letterEntities} and ${waiting(of.shard)}`;
  const found = new Set<string>();
  for await (const row of inPages<EntityRow>(pool, { text, values: () => [of.sink, of.relay] })) {
    found.add(entityOf(row) as string);
  }
  return found;
}

/**
 * The entities with letters that were asked for lately, however many others there are.
 *
 * @param of `since`: then, by `performance.now()`, or later
 */
export async function entitiesAskedFor(
  pool: Pool,
  of: LettersOf & { readonly since: number },
): Promise<Set<string>> {
  const text = `${letterEntities} and ${asked(of.shard)}
    and o.redrive_at >= statement_timestamp() - $3::float8 * interval '1 millisecond' order by o.redrive_at`;
  // By the index that has no others, also before there are statistics.
  const query = {
    text,
    values: () => [of.sink, of.relay, performance.now() - of.since],
    settings: 'set local enable_sort = off',
  };
  const found = new Set<string>();
  for await (const row of inPages<EntityRow>(pool, query)) {
    found.add(entityOf(row) as string);
  }
  return found;
}

/** Entities, as {@link entityOf} says them. */
export interface EntitiesWithLetters {
  /** Behind a letter of theirs others wait. */
  readonly dead: ReadonlySet<string>;
  /** All their letters are to be handed over again. */
  readonly redriving: ReadonlySet<string>;
}

/** Where later events wait: which entities have letters, as of one moment. */
export async function entitiesWithLetters(pool: Pool, of: LettersOf): Promise<EntitiesWithLetters> {
  const text = `select o.tenant_id as "tenantId", o.entity_key as "entityKey", bool_or(o.state = 'dead') as dead
       from event_runtime.dead_letter o
      where ${ofSink(of.shard)} and o.entity_key is not null and (o.state = 'redriving' or ${keepsOthers('o')})
      group by o.tenant_id, o.entity_key`;
  const [dead, redriving] = [new Set<string>(), new Set<string>()];
  for await (const row of inPages<EntityRow & { readonly dead: boolean }>(pool, {
    text,
    values: () => [of.sink, of.relay],
  })) {
    (row.dead ? dead : redriving).add(entityOf(row) as string);
  }
  return { dead, redriving };
}

/** A letter of the entity `x`. */
const letterOf = `select from event_runtime.dead_letter o
  where o.sink = $1 and o.relay = $2 and o.endpoint_id is null and o.entity_key is not null
    and ${letterEntity('o')} = ${letterEntity('x')}
    and o.tenant_id = x.tenant_id and o.entity_key = x.entity_key`;

/** Of the entities of these letters those that have others which hold back what is fed. */
export async function entitiesLeft(
  client: Queryable,
  of: LettersOf & { readonly letters: readonly Letter[] },
): Promise<Set<string>> {
  const events = of.letters.map(({ logged }) => logged.event).filter(({ entityKey }) => entityKey !== null);
  if (events.length === 0) return new Set();
  const { rows } = await client.query<EntityRow>(
    `select x.tenant_id as "tenantId", x.entity_key as "entityKey"
       from (select distinct e.tenant_id, e.entity_key from unnest($3::text[], $4::text[]) as e(tenant_id, entity_key)) x
      where exists (${letterOf} and o.state = 'redriving')
         or exists (${letterOf} and o.state = 'dead' and ${of.waits ? keepsOthers('o') : "o.reason_code = 'waits'"})`,
    [of.sink, of.relay, events.map(({ tenantId }) => tenantId), events.map(({ entityKey }) => entityKey)],
  );
  return new Set(rows.map((row) => entityOf(row) as string));
}

/**
 * Letters that only waited behind another are to be handed over once that is redriven or discarded, some of each entity
 * at a time; all of them, where nothing waits any more.
 *
 * @returns whether there may be more
 */
export async function releaseLetters(client: Queryable, of: LettersOf): Promise<boolean> {
  const { shard } = of;
  const text = of.waits
    ? `with recursive ${oldestWaiting(shard)}, ${release(shard, 'select dead_letter_id from oldest')}`
    : `with ${release(shard, `select o.dead_letter_id from event_runtime.dead_letter o where ${waiting(shard)} limit ${releaseAtOnce}`)}`;
  const { rowCount } = await client.query(text, [of.sink, of.relay]);
  return (rowCount ?? 0) > 0;
}

/** As PostgreSQL writes it where nobody chose another style. */
const recordedAt = `rtrim(rtrim(to_char(o.event_recorded_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.') || '+00'`;

/** In the order in which {@link toLoggedEvent} has them; a letter knows nothing of the producing transaction. */
const columns = `'0', o.event_id::text, o.seq::text, o.tenant_id, o.ecosystem, o.event_type, o.event_version::text,
  o.entity_key, o.idempotency_key, o.correlation_id, o.causation_id, o.source_service, o.traceparent, o.headers::text,
  o.payload::text, ${recordedAt}, o.dead_letter_id::text, o.attempts, o.replay_id::text`;

/** What a letter is chosen by. */
const chosen = `select o.dead_letter_id, o.seq, octet_length(o.payload::text) as bytes
         from event_runtime.dead_letter o
        where`;

/** The first ones of each entity, none of those that rest; where events wait, none behind a dead one. */
const firstOfEach = ({
  shard,
  waits,
}: LettersOf): string => `select c.dead_letter_id, c.seq, c.bytes from asked e cross join lateral (
         ${chosen} ${asked(shard)} and o.entity_key is not null and ${letterEntity('o')} = e.hash
           ${waits ? `and not exists (select from ${olderDead})` : ''}
         order by o.sink, o.relay, ${letterEntity('o')}, o.seq limit ${waits ? runLetters : '$6'}
       ) c
        where e.hash <> all (array(select ${letterEntity('x')} from unnest($4::text[], $5::text[]) as x(tenant_id, entity_key)))
       union all
       (${chosen} ${asked(shard)} and o.entity_key is null and o.dead_letter_id <> all ($3::uuid[]) order by o.seq limit $6)
       limit $6`;

/** The next letters, those of an entity in the order of `seq`: as many as the limits allow, but at least one. */
export async function nextLetters(
  client: Queryable,
  options: LettersOf & {
    readonly except: readonly Resting[];
    readonly limits: { readonly events: number; readonly bytes: number };
  },
): Promise<readonly Letter[]> {
  const { sink, relay, shard, except, limits } = options;
  const entities = except.filter(({ entityKey }) => entityKey !== null);
  const { rows } = await client.query<TableRow & unknown[]>({
    text: `with recursive ${entitiesBy('asked', asked(shard))}, next as materialized (
       ${firstOfEach(options)}
     ), cut as (
       select n.dead_letter_id, row_number() over w as place, sum(n.bytes) over w as total
         from next n window w as (order by n.seq, n.dead_letter_id rows unbounded preceding)
     )
     select ${columns} from cut c join event_runtime.dead_letter o on o.dead_letter_id = c.dead_letter_id
      where c.place = 1 or c.total <= $7 order by c.place`,
    values: [
      ...[sink, relay, except.filter(({ entityKey }) => entityKey === null).map(({ id }) => id)],
      ...[entities.map(({ tenantId }) => tenantId), entities.map(({ entityKey }) => entityKey)],
      ...[limits.events, limits.bytes],
    ],
    rowMode: 'array',
  });
  return rows.map(toLetter);
}

/** One that a replay caused goes with its mark again. */
function toLetter(row: TableRow & unknown[]): Letter {
  const logged = toLoggedEvent(row, Date.now());
  const [id, attempts, replay] = [String(row[16]), Number(row[17]), row[18]];
  if (typeof replay !== 'string') return { id, attempts, logged };
  return { id, attempts, logged: { ...logged, event: { ...logged.event, replay } } };
}

/** A letter that was refused once more is dead again, with its history; one that was discarded meanwhile stays away. */
export async function buryLetter(
  client: Queryable,
  { id, reasonCode, reason }: { readonly id: string; readonly reasonCode: string; readonly reason: string },
): Promise<void> {
  await client.query(
    `update event_runtime.dead_letter
        set state = 'dead', attempts = attempts + 1, dead_at = clock_timestamp(), reason_code = $2, reason = $3
      where dead_letter_id = $1 and state = 'redriving'`,
    [id, reasonCode, storable(reason)],
  );
}

/**
 * Letters that were delivered are gone, also where somebody took the redrive back meanwhile; not such as have died once
 * more since.
 */
export async function removeLetters(
  client: Queryable,
  letters: ReadonlyArray<Pick<Letter, 'id' | 'attempts'>>,
): Promise<void> {
  if (letters.length === 0) return;
  await client.query(
    `with gone as materialized (
       select d.dead_letter_id from event_runtime.dead_letter d
         join unnest($1::uuid[], $2::int[]) as x(id, attempts) on d.dead_letter_id = x.id
        where d.state = 'redriving' or d.attempts = x.attempts order by d.dead_letter_id for update of d
     )
     delete from event_runtime.dead_letter d using gone where d.dead_letter_id = gone.dead_letter_id`,
    [letters.map(({ id }) => id), letters.map(({ attempts }) => attempts)],
  );
}
