import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { claim, tenant } from '../emit/event.ts';
import { type Keys, keyCounts } from './site.ts';

const connections = 2;

export interface SteadyEmit {
  readonly perSecond: number;
  readonly seconds: number;
  readonly perTransaction: number;
  readonly keys: Keys;
}

/** Emits at a steady rate on several connections; a late transaction is not made up for by leaving one out. */
export async function emitSteadily(url: string, emit: SteadyEmit): Promise<void> {
  const { perSecond, seconds, perTransaction } = emit;
  const clients = await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new pg.Client({ connectionString: url });
      // The statement that is under way, or the next one, says what is wrong.
      client.on('error', () => undefined);
      await client.connect();
      return client;
    }),
  );
  const transactions = (perSecond * seconds) / perTransaction;
  const began = performance.now();
  let sent = 0;
  const work = async (client: pg.Client, index: number): Promise<void> => {
    const text = statement(emit, index);
    while (sent < transactions) {
      const due = began + (sent * 1_000 * perTransaction) / perSecond;
      sent += 1;
      const early = due - performance.now();
      if (early > 1) await sleep(early);
      await client.query(text);
    }
  };
  await Promise.all(clients.map(work));
  await Promise.all(clients.map(async (client) => await client.end()));
}

/** Of many keys each connection has its own half: without a lock, `seq` follows commits only where nobody else writes. */
function statement({ perTransaction, keys }: SteadyEmit, index: number): string {
  const payload = JSON.stringify(claim('claim-1'));
  const key =
    keys === 'hot'
      ? `'claim-0'`
      : `'claim-' || floor(random() * ${keyCounts.many / connections})::int * ${connections} + ${index}`;
  return `select count(*) from event_runtime.emit_many(
    array_fill('claim.approved'::text, array[${perTransaction}]), array_fill('${payload}'::json, array[${perTransaction}]),
    array['${tenant}'], (select array_agg((${key})::text) from generate_series(1, ${perTransaction})))`;
}
