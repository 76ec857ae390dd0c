import type pg from 'pg';

/** What the producing transaction recorded of one event, in a table of its own. */
export interface ExpectedEvent {
  readonly eventId: string;
  readonly tenant: string;
  readonly entityKey: string;
  /** 1 for the first committed event of (tenant, entity key). */
  readonly ordinal: number;
  readonly eventType: string;
  /** SHA-256 of the payload as the application wrote it, in lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * The application's own tables. They know nothing of event-runtime, and event-runtime knows nothing of
 * them: what was committed is read here, never from the relay or its tables.
 */
export async function createSampleSchema(database: pg.Pool): Promise<void> {
  await database.query(`
    create schema demo;
    create table demo.thing (
      id bigint generated always as identity primary key,
      tenant text not null,
      description text not null,
      tx xid8 not null default pg_current_xact_id()
    );
    create table demo.counter (
      tenant text not null,
      entity_key text not null,
      n int not null,
      primary key (tenant, entity_key)
    ) with (fillfactor = 50);
    create table demo.expected (
      event_id uuid primary key,
      tenant text not null,
      entity_key text not null,
      ordinal int not null,
      event_type text not null,
      sha256 text not null,
      tx xid8 not null default pg_current_xact_id(),
      recorded_at timestamptz not null default clock_timestamp(),
      unique (tenant, entity_key, ordinal)
    )`);
}

/** Every event that was committed. */
export async function readExpected(database: pg.Pool): Promise<ExpectedEvent[]> {
  const { rows } = await database.query<ExpectedEvent>(`
    select event_id as "eventId", tenant, entity_key as "entityKey", ordinal,
           event_type as "eventType", sha256
    from demo.expected
    order by tenant, entity_key, ordinal`);
  return rows;
}

/** How many events are committed now. */
export async function countExpected(database: pg.Pool): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    'select count(*)::int as count from demo.expected',
  );
  return rows[0]?.count ?? 0;
}
