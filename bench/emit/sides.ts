import type pg from 'pg';
import type { Side, Timing } from '../measure/interleave.ts';
import { type Claim, claim } from './event.ts';
import { emitManyWriter, insertUnnestWriter, insertValuesWriter, type ManyWriter } from './many-writers.ts';
import { emitWriter, insertWithKeyTableWriter, insertWriter, rawEmitWriter, type Writer } from './writers.ts';

/** Events of one `emitMany`. */
export const manyEvents = 100;

/** The sides by experiment. A side's name is also the `source_service` of the rows that it writes. */
export interface EmitSides {
  /** One event without an idempotency key. */
  readonly one: readonly Side[];
  /** One event with an idempotency key. */
  readonly keyed: readonly Side[];
  /** {@link manyEvents} events in one statement. */
  readonly many: readonly Side[];
}

/** Makes the sides. @param clients one connection for each lane */
export function emitSides(clients: readonly pg.Client[]): EmitSides {
  const one = (name: string, write: Writer): Side => oneSide(clients, { name, write, keyed: false });
  const keyed = (name: string, write: Writer): Side => oneSide(clients, { name, write, keyed: true });
  const many = (name: string, write: ManyWriter): Side => manySide(clients, { name, write });
  return {
    one: [
      one('one.emit', emitWriter('one.emit')),
      one('one.hand', insertWriter('one.hand', { table: 'plain_outbox' })),
      one('one.call', rawEmitWriter('one.call')),
      one('one.prep', insertWriter('one.prep', { table: 'plain_outbox', name: 'one.prep' })),
    ],
    keyed: [
      keyed('key.emit', emitWriter('key.emit')),
      keyed('key.hand', insertWriter('key.hand', { table: 'unique_outbox' })),
      keyed('key.call', rawEmitWriter('key.call')),
      keyed('key.apart', insertWithKeyTableWriter('key.apart')),
    ],
    many: [
      many('many.emit', emitManyWriter('many.emit')),
      many('many.hand', insertValuesWriter('many.hand')),
      many('many.array', insertUnnestWriter('many.array')),
    ],
  };
}

function oneSide(
  clients: readonly pg.Client[],
  side: { readonly name: string; readonly write: Writer; readonly keyed: boolean },
): Side {
  const next = claims(side.name);
  return {
    name: side.name,
    async once(lane) {
      const data = next();
      const key = side.keyed ? `approve ${data.claimId}` : undefined;
      return await timed(clientAt(clients, lane), {
        before: async (client) => {
          await client.query('insert into business_claim (claim_id, state) values ($1, $2)', [
            data.claimId,
            data.state,
          ]);
        },
        call: (client) => side.write(client, data, key),
      });
    },
  };
}

function manySide(
  clients: readonly pg.Client[],
  side: { readonly name: string; readonly write: ManyWriter },
): Side {
  const next = claims(side.name);
  return {
    name: side.name,
    async once(lane) {
      const data = Array.from({ length: manyEvents }, next);
      return await timed(clientAt(clients, lane), { call: (client) => side.write(client, data) });
    },
  };
}

/** One transaction. The business row is a part of it, never of the call. */
async function timed(
  client: pg.Client,
  work: {
    readonly before?: (client: pg.Client) => Promise<void>;
    readonly call: (client: pg.Client) => Promise<void>;
  },
): Promise<Timing> {
  const began = performance.now();
  await client.query('begin');
  await work.before?.(client);
  const called = performance.now();
  await work.call(client);
  const answered = performance.now();
  await client.query('commit');
  return { transaction: performance.now() - began, call: answered - called };
}

/** Claims of one side, each with an id of its own and all with ids of one length. */
function claims(side: string): () => Claim {
  let made = 0;
  return () => {
    made += 1;
    return claim(`${side.padEnd(10, '.')}-${String(made).padStart(9, '0')}`);
  };
}

function clientAt(clients: readonly pg.Client[], lane: number): pg.Client {
  const client = clients[lane];
  if (client === undefined) throw new TypeError(`no connection for lane ${lane}`);
  return client;
}
