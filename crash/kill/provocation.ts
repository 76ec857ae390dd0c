import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Order } from '../operator/operator.ts';
import { relayName } from '../processes/under-test.ts';
import type { Writers } from '../workload/writers.ts';

/**
 * What must happen so that a failpoint is reached.
 *
 * `none`: the load is enough. `pause-sinks`: an operator pauses every sink for a moment, so that each leaves the WAL,
 * reads the table and joins again. `drop-slot`: the relay is killed and its slot dropped, so that it makes a new one.
 * `expire-day`: the relay is killed and the outbox given a day that retention drops at the next start. `replay`, `redrive`,
 * `rewind`: the operator orders one.
 */
export type Provocation = 'none' | 'pause-sinks' | 'drop-slot' | 'expire-day' | Order;

/** Longer than the relay takes to notice that a sink is paused. */
const pauseMs = 1_500;

/** Failpoints of a relay that reads the WAL. */
const ofTheWal = /^(?:slot|seam)\./;

/** Failpoints of what an operator orders, and the order. */
const ordered = /^(replay|redrive|rewind)\./;

/**
 * The failpoints that a run is to hit.
 *
 * @param found all that the program has
 * @param run.only those asked for; undefined: all that can be reached
 * @throws Error when one is asked for that there is not, or that is never reached in such a run
 */
export function failpointsToHit(
  found: readonly string[],
  run: {
    readonly sources: 'wal' | 'table';
    readonly only: readonly string[] | undefined;
    /** Which orders an operator gives. */
    readonly orders: readonly Order[];
  },
): readonly string[] {
  const { sources, only, orders } = run;
  const reachable = found.filter((name) => {
    const order = orderFor(name);
    return (sources === 'wal' || !ofTheWal.test(name)) && (order === undefined || orders.includes(order));
  });
  const wrong = only?.find((name) => !reachable.includes(name));
  if (wrong === undefined) return only ?? reachable;
  throw new Error(`there is no failpoint ${wrong} from the ${sources}; there are ${reachable.join(', ')}`);
}

/** What reaches a failpoint, by its name; the ways where there are several, in turn. */
export function provocationFor(failpoint: string, turn: number): Provocation {
  if (failpoint.startsWith('slot.')) return 'drop-slot';
  const order = orderFor(failpoint);
  if (order !== undefined) return order;
  if (/^(?:prune|retention)\./.test(failpoint)) return 'expire-day';
  if (failpoint === 'seam.fall-out') return 'pause-sinks';
  if (/^(table|seam)\./.test(failpoint)) return turn % 2 === 0 ? 'pause-sinks' : 'drop-slot';
  return 'none';
}

function orderFor(failpoint: string): Order | undefined {
  return ordered.exec(failpoint)?.[1] as Order | undefined;
}

/** Pauses every sink, and lets them go on, also when the run is stopped meanwhile. */
export async function pauseSinks(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  try {
    await pool.query('update event_runtime.relay_checkpoint set paused_at = clock_timestamp()');
    await sleep(pauseMs, undefined, { signal });
  } finally {
    await pool.query('update event_runtime.relay_checkpoint set paused_at = null');
  }
}

/** All together longer than the relay takes to notice that a sink goes on, and to join. */
const holds = 20;
const heldMs = 60;
const freeMs = 30;

/**
 * Lets every sink leave the WAL and join it again while commits are in the WAL and not visible: a synchronous standby
 * is asked for that is not there, again and again, so that new ones are on their way whenever a sink joins.
 */
export async function joinOverHeldCommits(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  const client = await pool.connect();
  client.on('error', ignore);
  try {
    await client.query('set synchronous_commit = local');
    await client.query('update event_runtime.relay_checkpoint set paused_at = clock_timestamp()');
    await sleep(pauseMs, undefined, { signal });
    await client.query('update event_runtime.relay_checkpoint set paused_at = null');
    for (let count = 0; count < holds; count += 1) {
      await client.query(`alter system set synchronous_standby_names = 'nobody'`);
      await client.query('select pg_reload_conf()');
      await sleep(heldMs, undefined, { signal });
      await client.query('alter system reset synchronous_standby_names');
      await client.query('select pg_reload_conf()');
      await sleep(freeMs, undefined, { signal });
    }
  } finally {
    await client.query('alter system reset synchronous_standby_names');
    await client.query('select pg_reload_conf()');
    await client.query('update event_runtime.relay_checkpoint set paused_at = null');
    client.off('error', ignore);
    client.release(true);
  }
}

/** Longer than two ticks of the relay, and what it confirms after them. */
const stuckMs = 2_500;

/** Keeps the webhooks from being fanned out for a while, as another session with a lock does. */
export async function holdDeliveries(pool: pg.Pool, signal: AbortSignal): Promise<AsyncDisposable> {
  const client = await pool.connect();
  // The server may be killed meanwhile.
  client.on('error', ignore);
  const release = async (): Promise<void> => {
    await client.query('rollback').catch(() => undefined);
    client.off('error', ignore);
    client.release(true);
  };
  try {
    await client.query('begin');
    await client.query('lock table event_runtime.webhook_delivery in share mode');
    await sleep(stuckMs, undefined, { signal });
  } catch (cause) {
    await release();
    throw cause;
  }
  return { [Symbol.asyncDispose]: release };
}

/** What the webhooks write would flush everybody's WAL: so long they are given to come to rest. */
const restMs = 800;

/** Longer than transactions that still wait for the disk take to end, as a rule. */
const relaxedMs = 300;

/**
 * Resolves when the file sink has written events that are perhaps on no disk of the server: no COMMIT waits for it,
 * the webhooks are paused, and the file has just grown. Both go on at dispose.
 */
export async function untilUnflushed(options: {
  readonly pool: pg.Pool;
  readonly writers: Writers;
  readonly sinkFile: string;
  readonly signal: AbortSignal;
}): Promise<AsyncDisposable> {
  const { pool, writers, sinkFile, signal } = options;
  const pause = async (paused: boolean): Promise<void> => {
    await pool.query(
      `update event_runtime.relay_checkpoint set paused_at = case when $1 then clock_timestamp() end
        where sink = 'webhooks'`,
      [paused],
    );
  };
  await pause(true);
  try {
    await sleep(restMs, undefined, { signal });
    writers.relax(10_000);
    await sleep(relaxedMs, undefined, { signal });
    const [before, until] = [sizeOf(sinkFile), performance.now() + 1_000];
    while (sizeOf(sinkFile) === before && performance.now() < until) await sleep(1, undefined, { signal });
  } catch (cause) {
    await pause(false);
    throw cause;
  }
  return {
    async [Symbol.asyncDispose]() {
      writers.relax(0);
      await pause(false);
    },
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Drops the slot of a relay that was killed. */
export async function dropSlot(pool: pg.Pool, signal: AbortSignal): Promise<void> {
  for (;;) {
    // The server notices only after a moment that its reader is gone.
    const { rows } = await pool.query<{ left: number }>(
      `with reader as (
         select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active
       ), dropped as (
         select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active
       )
       select ((select count(*) from reader) + 0 * (select count(*) from dropped))::int as left`,
      [relayName],
    );
    if (rows[0]?.left === 0) return;
    await sleep(20, undefined, { signal });
  }
}

function ignore(): void {
  // Whoever uses the connection next is told.
}
