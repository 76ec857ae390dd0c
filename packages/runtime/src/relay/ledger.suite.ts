import type pg from 'pg';

/** What a producing transaction recorded of one event, in a table of its own. */
export interface LedgerRow {
  readonly eventId: string;
  readonly entity: string;
  /** 1 for the first committed event of the entity; drawn under the entity's row lock. */
  readonly ordinal: number;
  readonly txId: bigint;
}

/** What a sink was given, in the order in which it was given. */
export interface Arrival {
  readonly eventId: string;
  readonly entity: string | null;
}

/** What was committed compared with what one sink was given. */
export interface Verdict {
  readonly lost: number;
  /** Given, but never committed. */
  readonly phantom: number;
  /** Given for the first time after a later event of the same entity. */
  readonly reordered: number;
  /** Given again: no fault. */
  readonly duplicates: number;
  /** The first few faults, for people. */
  readonly named: readonly string[];
}

export const faultless = { lost: 0, phantom: 0, reordered: 0, named: [] } as const;

/**
 * Writers take a free entity, count it up under its row lock, emit, and note both: what must arrive is known without
 * asking the outbox. Whoever waits at a commit holds up no other writer.
 */
const tables = `
create table ledger (event_id uuid primary key, entity text not null, ordinal int not null, tx_id xid8 not null);
create table entity (key text primary key, ordinal int not null default 0);
create function write(events int, size int) returns setof uuid language plpgsql as $$
declare
  k text;
  o int;
  id uuid;
begin
  for i in 1..events loop
    select e.key into k from entity e order by random() limit 1 for update skip locked;
    exit when k is null;
    update entity e set ordinal = e.ordinal + 1 where e.key = k returning e.ordinal into o;
    select e.event_id into id from event_runtime.emit(
      'thing.done', json_build_object('n', o, 'filler', repeat('x', size)), 'acme', k) e;
    insert into ledger values (id, k, o, pg_current_xact_id());
    return next id;
  end loop;
end
$$`;

export async function createLedger(client: Pick<pg.Client, 'query'>, entities = 16): Promise<void> {
  await client.query(tables);
  await client.query(`insert into entity select 'e' || g from generate_series(1, $1) g`, [entities]);
}

export interface Write {
  /** Default 1. */
  readonly events?: number;
  /** Bytes of each payload, about. Default 10. */
  readonly size?: number;
  readonly ending?: 'commit' | 'rollback';
  /** Default `local`. */
  readonly synchronousCommit?: 'on' | 'local' | 'off';
}

/** One transaction, in one message. @returns the ids that it committed */
export async function write(client: Pick<pg.Client, 'query'>, options: Write = {}): Promise<string[]> {
  const { events = 1, size = 10, ending = 'commit', synchronousCommit = 'local' } = options;
  const results = (await client.query(
    `begin; set local synchronous_commit = ${synchronousCommit};
     select w::text as id from write(${events}, ${size}) w; ${ending}`,
  )) as unknown as ReadonlyArray<pg.QueryResult<{ id: string }>>;
  return ending === 'rollback' ? [] : (results[2]?.rows ?? []).map(({ id }) => id);
}

export async function readLedger(client: Pick<pg.Client, 'query'>): Promise<LedgerRow[]> {
  const { rows } = await client.query<{ event_id: string; entity: string; ordinal: number; tx_id: string }>(
    'select event_id::text, entity, ordinal, tx_id::text from ledger order by entity, ordinal',
  );
  return rows.map((row) => ({
    eventId: row.event_id,
    entity: row.entity,
    ordinal: row.ordinal,
    txId: BigInt(row.tx_id),
  }));
}

/** Judges one sink by the ledger. */
export function judge(ledger: readonly LedgerRow[], arrivals: readonly Arrival[]): Verdict {
  const committed = new Map(ledger.map((row) => [row.eventId, row]));
  const counts = { lost: 0, phantom: 0, reordered: 0, duplicates: 0 };
  const named: string[] = [];
  const fault = (kind: 'lost' | 'phantom' | 'reordered', line: string): void => {
    counts[kind] += 1;
    if (named.length < 5) named.push(`${kind}: ${line}`);
  };
  const seen = new Set<string>();
  const latest = new Map<string, number>();
  for (const { eventId, entity } of arrivals) {
    const row = committed.get(eventId);
    if (seen.has(eventId)) counts.duplicates += 1;
    else if (row === undefined) fault('phantom', eventId);
    else if (row.entity !== entity) fault('phantom', `${eventId} as ${entity}, not ${row.entity}`);
    else {
      const before = latest.get(row.entity) ?? 0;
      if (row.ordinal < before) fault('reordered', `${row.entity} no. ${row.ordinal} after no. ${before}`);
      latest.set(row.entity, Math.max(before, row.ordinal));
    }
    seen.add(eventId);
  }
  for (const { eventId, entity, ordinal, txId } of ledger) {
    if (!seen.has(eventId)) fault('lost', `${entity} no. ${ordinal} of transaction ${txId}`);
  }
  return { ...counts, named };
}

/** A seeded draw between 0 and 1, so that a failure can be played again as far as the machine allows. */
export function draws(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
