import { setTimeout as sleep } from 'node:timers/promises';
import { createReplay, type ReplaySelection } from '@event-runtime/runtime';
import type { SeededRandom } from '@event-runtime/runtime/testing';
import type pg from 'pg';
import { natsSink, relayName } from '../processes/under-test.ts';
import { poisonBytes } from '../verdict/redriven.ts';
import { recordReplay } from '../workload/ledger.ts';
import { entitiesPerTenant, tenants } from '../workload/transaction-plan.ts';

/** So many of a selection of single events at most. */
const mostIds = 2_000;

/** What is selected, said twice: in the ledger's terms, and in the product's. */
interface Choice {
  /** A condition on a row of the ledger, with its parameters. */
  readonly where: string;
  readonly values: readonly unknown[];
  /** Undefined: by the ids that the ledger has. */
  readonly selection: ReplaySelection | undefined;
}

/**
 * Makes a replay of a selection of chance, and writes down in the same transaction which events it is of: by the writers'
 * ledger, as of the very snapshot that the replay has.
 *
 * @returns false: there is no such event yet
 */
export async function orderReplay(
  pool: pg.Pool,
  { sink, random }: { readonly sink: string; readonly random: SeededRandom },
): Promise<boolean> {
  const choice = choose(random, sink);
  const seconds = 4 + random.below(6);
  const client = await pool.connect();
  client.on('error', ignore);
  let broken = true;
  try {
    await client.query('begin isolation level repeatable read');
    const { rows } = await client.query<{ id: string }>(
      `select event_id as id from crash.ledger where ${choice.where}`,
      [...choice.values],
    );
    const eventIds = rows.map(({ id }) => id);
    if (eventIds.length > 0) {
      const { id } = await createReplay(client, {
        ...{ relay: relayName, sink, selection: choice.selection ?? { eventIds } },
        // So that it lasts some kills.
        eventsPerSecond: Math.max(20, Math.ceil(eventIds.length / seconds)),
      });
      await recordReplay(client, { id, sink, eventIds });
    }
    await client.query('commit');
    broken = false;
    return eventIds.length > 0;
  } finally {
    client.off('error', ignore);
    client.release(broken);
  }
}

/** Into NATS only what is never poison: a replay's own letters are not asked for again here. */
function choose(random: SeededRandom, sink: string): Choice {
  const [tenant, entityKey] = [random.pick(tenants), `entity-${random.below(entitiesPerTenant)}`];
  const values = [tenant, entityKey];
  const where = 'tenant = $1 and entity_key = $2';
  const kind = sink === natsSink ? 'ids' : random.pick(['entity', 'type', 'ids'] as const);
  if (kind === 'entity') return { where, values, selection: { tenant, entityKey } };
  if (kind === 'type') {
    const selection = { tenant, entityKey, type: 'crash.counted*' };
    return { where: `${where} and event_type like 'crash.counted%'`, values, selection };
  }
  // Of several entities, with gaps in each.
  const part = '0123'.includes(entityKey.slice(-1)) ? '[0-3]' : '[4-9a-f]';
  return {
    where: `tenant = $1 and bytes < $2 and event_id::text ~ $3 order by event_id desc limit ${mostIds}`,
    values: [tenant, poisonBytes, `${part}$`],
    selection: undefined,
  };
}

/** Whether a sink has a replay that is not over. */
export async function isReplaying(pool: pg.Pool, sink: string): Promise<boolean> {
  const { rows } = await pool.query<{ replaying: boolean }>(
    `select exists (select from event_runtime.replay r join event_runtime.replay_part p using (replay_id)
                     where r.sink = $1 and p.finished_at is null) as replaying`,
    [sink],
  );
  return rows[0]?.replaying === true;
}

/** Pauses every replay, or lets all go on; however often the server goes away meanwhile. */
export async function setReplaysPaused(pool: pg.Pool, paused: boolean): Promise<void> {
  for (let left = 50; ; left -= 1) {
    try {
      await pool.query('update event_runtime.replay set state = $2 where state = $1', [
        paused ? 'running' : 'paused',
        paused ? 'paused' : 'running',
      ]);
      return;
    } catch (cause) {
      if (left === 0) throw cause;
    }
    await sleep(200);
  }
}

function ignore(): void {
  // Whoever uses the connection is told.
}
