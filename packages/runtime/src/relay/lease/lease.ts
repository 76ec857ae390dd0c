import type { Pool } from 'pg';
import { type LeaseStatementOptions, onLeaseConnection } from './lease-connection.ts';

/** A part of a relay that one replica at a time may do. */
export interface LeaseUnit {
  /** A sink's name; `*`: the reading of the WAL for all sinks. Names that begin with `@` are signs of life. */
  readonly sink: string;
  /** 0 where the sink is not divided. */
  readonly shard: number;
}

/** Who asks: one life of one process. */
export interface LeaseHolder {
  /** Name of the relay; 1 to 63 characters. */
  readonly relay: string;
  /** A UUID drawn by this process, never used by another or an earlier one: what it holds counts as ours. */
  readonly replica: string;
  /** For people: `host:pid`. */
  readonly name: string;
}

/** A row of `relay_lease`. */
export interface LeaseRow {
  readonly unit: LeaseUnit;
  readonly epoch: bigint;
  /** UUID of the replica. */
  readonly holder: string;
  readonly holderName: string;
  /** Milliseconds until it expires, by the database's clock; 0 or less: it has expired, and anybody may have it. */
  readonly remainingMs: number;
}

/** A unit as text, different for each: a key of maps. */
export function leaseKey(unit: LeaseUnit): string {
  return `${unit.sink}/${unit.shard}`;
}

/**
 * The unit by which a replica says that it lives: nobody else wants it.
 *
 * @param group those who divide the same units among themselves: one process may look after several sorts of them
 */
export function signOfLife(replica: string, group = ''): LeaseUnit {
  return { sink: `@${group}${replica}`, shard: 0 };
}

/**
 * For the one statement that it is part of. Not a transaction with SET LOCAL: a process that is stopped between
 * UPDATE and COMMIT would keep its successor waiting for the row.
 * - A row that somebody keeps locked must not pile up statements whose client has given up long ago.
 * - local: a lease must survive a crash of the server (its epoch must not be drawn twice), but must not wait for a
 *   standby that is not there.
 */
const setting = `setting as materialized (
  select set_config('lock_timeout', $1, true) as lock_timeout,
         set_config('synchronous_commit', 'local', true) as synchronous_commit
)`;

const lockTimeout = (options: LeaseStatementOptions): string => `${Math.ceil(options.timeoutMs)}ms`;

/** The second nextval is drawn when the row is locked: whoever waited for it has a higher epoch than who had it. */
const acquireSql = `
with ${setting}
insert into event_runtime.relay_lease as l
  (relay, sink, shard, epoch, holder, holder_name, acquired_at, expires_at)
select $2, $3, $4, nextval('event_runtime.relay_epoch'), $5, $6, clock_timestamp(),
       clock_timestamp() + $7 * interval '1 millisecond'
from setting
on conflict (relay, sink, shard) do update
set epoch = nextval('event_runtime.relay_epoch'), holder = excluded.holder, holder_name = excluded.holder_name,
    acquired_at = clock_timestamp(), expires_at = clock_timestamp() + $7 * interval '1 millisecond'
where l.expires_at <= clock_timestamp() or l.holder = excluded.holder
returning l.epoch::text`;

/**
 * Takes a unit that is free, has expired by the database's clock, or is this replica's already.
 *
 * @returns the epoch, higher than every one before; null: another replica has it
 * @throws ER1001 no answer in time: it may have been taken all the same, and expires by itself
 */
export async function acquireLease(
  pool: Pool,
  options: LeaseStatementOptions & {
    readonly holder: LeaseHolder;
    readonly unit: LeaseUnit;
    /** Milliseconds. */
    readonly ttlMs: number;
  },
): Promise<bigint | null> {
  const { holder, unit } = options;
  return await onLeaseConnection(
    pool,
    async (client) => {
      const { rows } = await client.query<{ epoch: string }>(acquireSql, [
        ...[lockTimeout(options), holder.relay, unit.sink, unit.shard],
        ...[holder.replica, holder.name, options.ttlMs],
      ]);
      return rows[0] === undefined ? null : BigInt(rows[0].epoch);
    },
    options,
  );
}

/** What has expired is not renewed, even when nobody has taken it: a late statement must not revive what was released. */
const renewSql = `
with ${setting}
update event_runtime.relay_lease as l
set expires_at = clock_timestamp() + $7 * interval '1 millisecond'
from setting, unnest($4::text[], $5::int[], $6::bigint[]) as h(sink, shard, epoch)
where l.relay = $2 and l.holder = $3 and l.sink = h.sink and l.shard = h.shard and l.epoch = h.epoch
  and l.expires_at > clock_timestamp()
returning l.sink, l.shard`;

/**
 * Prolongs leases, all in one statement: to `ttlMs` from now, by the database's clock.
 *
 * @returns for each of `leases`, whether it is still ours; false: it is lost
 */
export async function renewLeases(
  pool: Pool,
  options: LeaseStatementOptions & {
    readonly holder: LeaseHolder;
    readonly leases: ReadonlyArray<{ readonly unit: LeaseUnit; readonly epoch: bigint }>;
    /** Milliseconds. */
    readonly ttlMs: number;
  },
): Promise<readonly boolean[]> {
  const { holder, leases } = options;
  return await onLeaseConnection(
    pool,
    async (client) => {
      const { rows } = await client.query<LeaseUnit>(renewSql, [
        ...[lockTimeout(options), holder.relay, holder.replica],
        leases.map(({ unit }) => unit.sink),
        leases.map(({ unit }) => unit.shard),
        leases.map(({ epoch }) => epoch.toString()),
        options.ttlMs,
      ]);
      const renewed = new Set(rows.map(leaseKey));
      return leases.map(({ unit }) => renewed.has(leaseKey(unit)));
    },
    options,
  );
}

const releaseSql = `
with ${setting}
update event_runtime.relay_lease as l
set expires_at = clock_timestamp()
from setting
where l.relay = $2 and l.sink = $3 and l.shard = $4 and l.epoch = $5 and l.holder = $6
  and l.expires_at > clock_timestamp()`;

/** Gives a lease up: it expires now, and the row stays. @returns false: it was not ours any more */
export async function releaseLease(
  pool: Pool,
  options: LeaseStatementOptions & {
    readonly holder: LeaseHolder;
    readonly unit: LeaseUnit;
    readonly epoch: bigint;
  },
): Promise<boolean> {
  const { holder, unit } = options;
  return await onLeaseConnection(
    pool,
    async (client) => {
      const { rowCount } = await client.query(releaseSql, [
        ...[lockTimeout(options), holder.relay, unit.sink, unit.shard],
        ...[options.epoch.toString(), holder.replica],
      ]);
      return rowCount === 1;
    },
    options,
  );
}

/** All rows of a relay, signs of life too, in the order of sink and shard. Changes nothing. */
export async function listLeases(
  pool: Pool,
  options: LeaseStatementOptions & { readonly relay: string },
): Promise<readonly LeaseRow[]> {
  return await onLeaseConnection(
    pool,
    async (client) => {
      const { rows } = await client.query<{
        sink: string;
        shard: number;
        epoch: string;
        holder: string;
        holder_name: string;
        remaining_ms: number;
      }>(
        `select sink, shard, epoch::text, holder, holder_name,
                (extract(epoch from expires_at - clock_timestamp()) * 1000)::float8 as remaining_ms
           from event_runtime.relay_lease
          where relay = $1
          order by sink, shard`,
        [options.relay],
      );
      return rows.map((row) => ({
        unit: { sink: row.sink, shard: row.shard },
        epoch: BigInt(row.epoch),
        holder: row.holder,
        holderName: row.holder_name,
        remainingMs: row.remaining_ms,
      }));
    },
    options,
  );
}

/** Deletes what expired longer ago than this: signs of life of dead replicas, units that nobody wants. @returns how many */
export async function deleteOldLeases(
  pool: Pool,
  options: LeaseStatementOptions & {
    readonly relay: string;
    /** Milliseconds. Much longer than any statement may last: an epoch is drawn before a row is inserted. */
    readonly expiredForMs: number;
  },
): Promise<number> {
  return await onLeaseConnection(
    pool,
    async (client) => {
      const { rowCount } = await client.query(
        `delete from event_runtime.relay_lease as l
          using (
            select o.sink, o.shard from event_runtime.relay_lease as o
             where o.relay = $1 and o.expires_at < clock_timestamp() - $2 * interval '1 millisecond'
               for update skip locked
          ) as old
          where l.relay = $1 and l.sink = old.sink and l.shard = old.shard`,
        [options.relay, options.expiredForMs],
      );
      return rowCount ?? 0;
    },
    options,
  );
}
