import type pg from 'pg';

/** What one side left in its table. */
export interface WrittenRows {
  readonly rows: number;
  readonly payloadBytes: number;
  readonly distinctIds: number;
  readonly versionSevenIds: number;
  readonly entityKeys: number;
  readonly idempotencyKeys: number;
}

const tables = ['event_runtime.outbox', 'bench.plain_outbox', 'bench.unique_outbox'];

/** Counts by side, read from the tables themselves. @returns by side name */
export async function writtenRows(owner: pg.Client): Promise<ReadonlyMap<string, WrittenRows>> {
  const found = new Map<string, WrittenRows>();
  for (const table of tables) {
    const { rows } = await owner.query<WrittenRows & { side: string }>(
      `select source_service as side, count(*)::int as "rows",
              sum(octet_length(payload::text))::int as "payloadBytes",
              count(distinct event_id)::int as "distinctIds",
              count(*) filter (where substr(event_id::text, 15, 1) = '7')::int as "versionSevenIds",
              count(distinct entity_key)::int as "entityKeys",
              count(distinct idempotency_key)::int as "idempotencyKeys"
         from ${table}
        group by source_service`,
    );
    for (const { side, ...written } of rows) found.set(side, written);
  }
  return found;
}

/**
 * Figures count only when all sides did the same work.
 *
 * @throws Error that names the side that did not
 */
export function requireSameWork(written: ReadonlyMap<string, WrittenRows>, names: readonly string[]): void {
  const [first = ''] = names;
  const wanted = JSON.stringify(written.get(first));
  for (const name of names) {
    const did = JSON.stringify(written.get(name));
    if (did === undefined || did !== wanted) {
      throw new Error(`${name} wrote ${did ?? 'nothing'}, ${first} wrote ${wanted}`);
    }
  }
}
