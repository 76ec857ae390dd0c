import type { ClientBase } from 'pg';

/** A sink that events were dropped for before it had read them. */
export interface Gap {
  readonly relay: string;
  readonly sink: string;
  readonly shard: number;
  /** So many, in all. */
  readonly events: number;
  /** The last time, ISO 8601. */
  readonly at: string;
}

/** Every sink that is marked. */
export async function listGaps(client: ClientBase): Promise<Gap[]> {
  const { rows } = await client.query<Omit<Gap, 'events' | 'at'> & { events: string; at: Date }>(
    `select c.relay, c.sink, c.shard, c.gapped_events as events, c.gapped_at as at
       from event_runtime.relay_checkpoint c
      where c.gapped_at is not null
      order by c.relay, c.sink, c.shard`,
  );
  return rows.map((row) => ({ ...row, events: Number(row.events), at: row.at.toISOString() }));
}
