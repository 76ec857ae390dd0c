import pg from 'pg';
import { claim, tenant } from '../emit/event.ts';
import { keyCounts } from '../relay/site.ts';

/** Sessions of the server that write. Each waits for the disk at each commit: more of them share one wait. */
function writersAt(perSecond: number): number {
  return perSecond > 5_000 ? 24 : 8;
}

export interface SteadyRows {
  readonly perSecond: number;
  readonly seconds: number;
}

/**
 * Single-row transactions at a steady rate, with many keys, each commit waited for; written by procedures inside of the
 * server, because a client would take more of the machine than what is measured.
 *
 * @returns transactions a second that it came to
 */
export async function writeSteadily(url: string, rows: SteadyRows): Promise<number> {
  const clients = await Promise.all(
    Array.from({ length: writersAt(rows.perSecond) }, async () => {
      const client = new pg.Client({ connectionString: url });
      client.on('error', () => undefined);
      await client.connect();
      return client;
    }),
  );
  try {
    const began = performance.now();
    await Promise.all(clients.map(async (client, index) => await client.query(program(rows, index))));
    return (rows.perSecond * rows.seconds) / ((performance.now() - began) / 1_000);
  } finally {
    await Promise.all(clients.map(async (client) => await client.end()));
  }
}

/** Each writer has keys of its own: without a lock, `seq` follows commits only where nobody else writes. */
function program({ perSecond, seconds }: SteadyRows, index: number): string {
  const payload = JSON.stringify(claim('claim-1'));
  const writers = writersAt(perSecond);
  return `do $$
    declare
      began timestamptz := clock_timestamp();
      early double precision;
    begin
      for i in 1..${Math.round((perSecond * seconds) / writers)} loop
        insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, source_service, payload)
        values (event_runtime.uuid_v7(), '${tenant}', 'claim.approved',
                'claim-' || (floor(random() * ${keyCounts.many / writers})::int * ${writers} + ${index}),
                'bench', '${payload}');
        commit;
        early := i * ${writers / perSecond} - extract(epoch from clock_timestamp() - began);
        if early > 0 then perform pg_sleep(early); end if;
      end loop;
    end $$`;
}
