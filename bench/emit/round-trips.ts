import type { EventEmitter } from 'node:events';
import type pg from 'pg';

/**
 * How many times the server was asked and answered while the work ran: each answer of PostgreSQL ends with
 * one ReadyForQuery, whatever the driver sent for it.
 */
export async function countRoundTrips(client: pg.Client, work: () => Promise<unknown>): Promise<number> {
  // pg's connection emits an event for each message of the protocol; its type declarations leave it out.
  const { connection } = client as unknown as { readonly connection: EventEmitter };
  let answers = 0;
  const count = (): void => {
    answers += 1;
  };
  connection.on('readyForQuery', count);
  try {
    await work();
  } finally {
    connection.off('readyForQuery', count);
  }
  return answers;
}
