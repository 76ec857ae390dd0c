import type { ClientBase, Pool } from 'pg';
import { type ListedCheckpoint, listCheckpoints } from '../../log/checkpoint.ts';
import { countUnread, oldestUnread } from '../../log/unread.ts';
import { parseLsn } from '../../replication/lsn.ts';
import { relayReaderName, type SlotReader, slotReaderOf } from '../../replication/slot-reader.ts';
import { dayPartitionedTables } from '../../schema/partition-catalog.ts';
import type { ReplayWait } from '../replay/replay-waits.ts';
import {
  type DeadLetterRow,
  type DeliveriesRow,
  deadLettersSql,
  deliveriesSql,
  type LeaseReportRow,
  leasesSql,
  type PartitionRow,
  partitionsSql,
  type ReplayReportRow,
  runningReplaysSql,
  type ServerRow,
  type SlotRow,
  serverSql,
  slotSql,
} from './relay-report-sql.ts';

type Queryable = Pick<ClientBase | Pool, 'query'>;

/** The server as the report needs it. */
export interface ServerReport {
  /** `18.4` */
  readonly version: string;
  /** As in `server_version_num`: 180004. */
  readonly versionNumber: number;
  readonly walLevel: string;
  /** `max_slot_wal_keep_size` in bytes; null: unlimited. */
  readonly maxSlotWalKeepBytes: number | null;
  /** Whether it is a standby. Then nothing is said of what is unread: its snapshots leave out open transactions. */
  readonly inRecovery: boolean;
}

/**
 * How a slot stands. `creating`: it is being made, which waits for every open transaction; nothing can be read from it
 * yet. `taken`: somebody else than this relay reads it, by the name that the connection has. `foreign`: it has the name, and is of another database, physical, or for another plugin.
 */
export type SlotCondition = 'missing' | 'creating' | 'active' | 'taken' | 'inactive' | 'lost' | 'foreign';

/** The replication slot. What cannot be said is null: all of it where there is no slot. */
export interface SlotReport {
  readonly name: string;
  readonly condition: SlotCondition;
  readonly database: string | null;
  /** Whether that is the database which was asked. */
  readonly here: boolean;
  readonly plugin: string | null;
  readonly walStatus: SlotRow['wal_status'];
  /** Bytes that may still be written before it may be lost; null: no limit. */
  readonly safeWalBytes: number | null;
  readonly invalidationReason: string | null;
  /** WAL that is kept on the disk for it. */
  readonly restartLagBytes: number | null;
  /** WAL that is not confirmed. */
  readonly flushLagBytes: number | null;
  /** Whether standbys have it too (PostgreSQL 17 and later). */
  readonly failover: boolean | null;
  /** Transactions since the oldest one whose rows of the system catalogues are kept for it. */
  readonly catalogXminAge: number | null;
  /** Who reads it; null: nobody. */
  readonly reader: SlotReader | null;
}

/** A lease that has not expired. */
export interface LeaseReport {
  /**
   * `*`: the reader of the WAL. `#webhooks`: the deliverer. `@` and an id: a replica's sign of life, `@#webhooks` and an
   * id: that of one that may deliver.
   */
  readonly sink: string;
  readonly shard: number;
  /** `host:pid` */
  readonly holder: string;
  readonly remainingSeconds: number;
}

/** How far a sink has got, by its stored checkpoint: that may be a second older than what was delivered. */
export interface SinkReport {
  readonly sink: string;
  readonly shard: number;
  /** From where it goes on. */
  readonly mode: 'live' | 'table';
  readonly paused: boolean;
  /** Events that retention dropped before this sink had read them. */
  readonly gappedEvents: number;
  /** WAL behind its position, whatever it holds; null: it reads the table. */
  readonly positionLagBytes: number | null;
  /** Committed events that it has not got; no further than {@link RelayReportOptions.unreadCap}. Null: not known. */
  readonly unreadEvents: number | null;
  /** Since the first of them was recorded. 0: there is none. Null: not known. */
  readonly oldestUnreadSeconds: number | null;
  /** When the checkpoint was written. ISO 8601 in UTC. */
  readonly updatedAt: string;
}

/** A replay that runs: neither paused nor over. */
export interface ReplayReport {
  readonly id: string;
  readonly sink: string;
  /** Events of it that were neither delivered nor refused. Retention may have dropped some of them. */
  readonly remainingEvents: number;
  /** Since it got on, was made or resumed; 0 while an older replay of the sink goes first. */
  readonly stalledSeconds: number;
  /** What is in the way; null: nothing that the database knows of. */
  readonly waitsFor: ReplayWait | null;
  /** The name of the error for which the sink does not take what it is handed; null: none. */
  readonly trouble: string | null;
}

/** Everything that operators and monitors ask about one relay, read from its database. */
export interface RelayReport {
  /** The database's clock. ISO 8601 in UTC. */
  readonly at: string;
  readonly relay: string;
  readonly server: ServerReport;
  readonly slot: SlotReport;
  readonly leases: readonly LeaseReport[];
  readonly sinks: readonly SinkReport[];
  /** Days from now on with a partition of their own. */
  readonly partitions: ReadonlyArray<{ readonly table: string; readonly daysAhead: number }>;
  /** By sink; each no further than `countCap`. */
  readonly deadLetters: ReadonlyArray<{ readonly sink: string; readonly count: number }>;
  /** Those that run, the oldest first, 100 at most. */
  readonly replays: readonly ReplayReport[];
  readonly webhooks: {
    /** Deliveries still to be made; no further than `countCap`. */
    readonly pending: number;
    /** Since the oldest of them was made. Null: there is none. */
    readonly oldestSeconds: number | null;
  };
}

export interface RelayReportOptions {
  readonly relay: string;
  readonly slot: string;
  /** Into how many parts each sink is divided. Default 1. */
  readonly shards?: number;
  /** How far the unread events of a sink are counted. Default 10,000. */
  readonly unreadCap?: number;
  /** How far dead letters and pending deliveries are counted. Default 10,000. */
  readonly countCap?: number;
}

const mostReplays = 100;

/**
 * Reads how a relay stands. A few short statements, each bounded: it may be asked every few seconds. The statements are
 * not of one moment.
 *
 * @param client with the rights of `event_runtime_service`, on a schema that is up to date
 */
export async function relayReport(client: Queryable, options: RelayReportOptions): Promise<RelayReport> {
  const { relay, slot, shards = 1, countCap = 10_000 } = options;
  const server = (await client.query<ServerRow>(serverSql)).rows[0] as ServerRow;
  const slots = await client.query<SlotRow>(slotSql, [slot, server.lsn]);
  const leases = await client.query<LeaseReportRow>(leasesSql, [relay]);
  const partitions = await client.query<PartitionRow>(partitionsSql, [[...dayPartitionedTables]]);
  const deadLetters = await client.query<DeadLetterRow>(deadLettersSql, [countCap]);
  const replays = await client.query<ReplayReportRow>(runningReplaysSql, [relay, mostReplays]);
  const deliveries = await client.query<DeliveriesRow>(deliveriesSql, [countCap]);
  const sinks: SinkReport[] = [];
  for (const listed of await listCheckpoints(client, relay)) {
    // Rows of a division that is no longer in use.
    if (listed.shard < shards) sinks.push(await sinkReport(client, { listed, server, options }));
  }
  return {
    at: server.at,
    relay,
    server: toServer(server),
    slot: toSlot(options, slots.rows[0]),
    leases: leases.rows.map((row) => ({
      sink: row.sink,
      shard: row.shard,
      holder: row.holder_name,
      remainingSeconds: row.remaining_seconds,
    })),
    sinks,
    partitions: partitions.rows.map((row) => ({ table: row.table, daysAhead: row.days_ahead })),
    deadLetters: deadLetters.rows,
    replays: replays.rows.map(toReplay),
    webhooks: {
      pending: deliveries.rows[0]?.pending ?? 0,
      oldestSeconds: deliveries.rows[0]?.oldest_seconds ?? null,
    },
  };
}

async function sinkReport(
  client: Queryable,
  from: {
    readonly listed: ListedCheckpoint;
    readonly server: ServerRow;
    readonly options: RelayReportOptions;
  },
): Promise<SinkReport> {
  const { listed, server, options } = from;
  const { sink, shard, checkpoint, paused, gappedEvents, updatedAt } = listed;
  const { shards = 1, unreadCap = 10_000 } = options;
  const live = checkpoint.mode === 'live' && server.lsn !== null;
  const base = { sink, shard, mode: checkpoint.mode, paused, gappedEvents, updatedAt };
  // Snapshots say nothing on a standby, nor in another cluster.
  if (server.in_recovery || listed.systemIdentifier !== server.system_identifier) {
    return { ...base, positionLagBytes: null, unreadEvents: null, oldestUnreadSeconds: null };
  }
  const unread = { state: checkpoint, shard: shards === 1 ? undefined : { index: shard, count: shards } };
  const oldest = await oldestUnread(client, unread);
  const lag = live ? parseLsn(server.lsn) - checkpoint.position.lsn : null;
  return {
    ...base,
    positionLagBytes: lag === null ? null : Math.max(Number(lag), 0),
    unreadEvents:
      oldest === undefined
        ? 0
        : await countUnread(client, { ...unread, before: undefined, atMost: unreadCap }),
    oldestUnreadSeconds:
      oldest === undefined ? 0 : Math.max((Date.parse(server.at) - oldest.recordedAt) / 1_000, 0),
  };
}

function toReplay(row: ReplayReportRow): ReplayReport {
  return {
    id: row.id,
    sink: row.sink,
    remainingEvents: row.remaining,
    stalledSeconds: row.waits_for === 'replay' ? 0 : row.still_seconds,
    waitsFor: row.waits_for,
    trouble: row.trouble,
  };
}

function toServer(row: ServerRow): ServerReport {
  const keep = Number(row.max_slot_wal_keep_mb);
  return {
    version: row.version,
    versionNumber: row.version_number,
    walLevel: row.wal_level,
    maxSlotWalKeepBytes: keep < 0 ? null : keep * 1_048_576,
    inRecovery: row.in_recovery,
  };
}

function toSlot({ slot, relay }: RelayReportOptions, row: SlotRow | undefined): SlotReport {
  return {
    name: slot,
    condition: conditionOf(row, relay),
    database: row?.database ?? null,
    here: row?.here ?? false,
    plugin: row?.plugin ?? null,
    walStatus: row?.wal_status ?? null,
    safeWalBytes: bytes(row?.safe_wal_bytes),
    invalidationReason: row?.invalidation_reason ?? null,
    restartLagBytes: bytes(row?.restart_lag_bytes),
    flushLagBytes: bytes(row?.flush_lag_bytes),
    failover: row?.failover ?? null,
    catalogXminAge: row?.catalog_xmin_age ?? null,
    reader: slotReaderOf(row) ?? null,
  };
}

function bytes(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : Number(text);
}

function conditionOf(row: SlotRow | undefined, relay: string): SlotCondition {
  if (row === undefined) return 'missing';
  if (!row.here || row.plugin !== 'pgoutput') return 'foreign';
  if (row.wal_status === 'lost' || row.invalidation_reason !== null) return 'lost';
  if (!row.confirmed) return 'creating';
  if (!row.active) return 'inactive';
  const reader = slotReaderOf(row);
  return reader === undefined || reader.applicationName === relayReaderName(relay) ? 'active' : 'taken';
}
