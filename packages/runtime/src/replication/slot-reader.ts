import { createHash } from 'node:crypto';
import { quoteLiteral } from './replication-connection.ts';
import type { SqlClient } from './slot.ts';

/** The connection that reads a slot. */
export interface SlotReader {
  readonly pid: number;
  /** As the client calls itself; empty: it does not. */
  readonly applicationName: string;
  /** Null: a local socket, or the asking role may not see it. */
  readonly clientAddress: string | null;
  /** When it connected. ISO 8601 in UTC; null: the asking role may not see it. */
  readonly since: string | null;
}

/**
 * The columns of {@link SlotReaderRow}, of a row `a` of `pg_stat_activity`. A role sees the address and the time of its
 * own connections, of those of roles that it is a member of, and as `pg_read_all_stats` of all.
 */
export const slotReaderColumns = `a.pid as reader_pid, a.application_name as reader_application,
       host(a.client_addr) as reader_address,
       to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as reader_since`;

export interface SlotReaderRow {
  /** Null: nobody reads the slot. */
  readonly reader_pid: number | null;
  readonly reader_application: string | null;
  readonly reader_address: string | null;
  readonly reader_since: string | null;
}

/** From {@link slotReaderColumns}; undefined: nobody reads the slot. */
export function slotReaderOf(row: SlotReaderRow | undefined): SlotReader | undefined {
  if (row === undefined || row.reader_pid === null) return undefined;
  return {
    pid: row.reader_pid,
    applicationName: row.reader_application ?? '',
    clientAddress: row.reader_address,
    since: row.reader_since,
  };
}

/** Who reads the slot; undefined: nobody. */
export async function describeReader(client: SqlClient, slot: string): Promise<SlotReader | undefined> {
  const { rows } = await client.query(
    `select ${slotReaderColumns}
     from pg_catalog.pg_replication_slots s
     join pg_catalog.pg_stat_activity a on a.pid = s.active_pid
     where s.slot_name = ${quoteLiteral(slot)}`,
  );
  return slotReaderOf(rows[0] as SlotReaderRow | undefined);
}

/**
 * `application_name` of a relay's reader: by it a stale connection of the same relay is told from somebody else's.
 * As the server keeps it: 63 bytes of ASCII; what does not fit, or is none, gives way to a hash of the whole name.
 */
export function relayReaderName(relay: string): string {
  const name = `event-runtime relay ${relay}`;
  if (name.length <= 63 && !/[^ -~]/.test(name)) return name;
  const hash = createHash('sha256').update(relay).digest('hex').slice(0, 12);
  return `${name.replaceAll(/[^ -~]/g, '_').slice(0, 50)} ${hash}`;
}

/** `process 4711 ("debezium"), connected since 2026-01-01T00:00:00.000Z`: without an address, for anybody may read it. */
export function readerText({ pid, applicationName, since }: SlotReader): string {
  const name = applicationName === '' ? 'without a name' : JSON.stringify(applicationName);
  return `process ${pid} (${name})${since === null ? '' : `, connected since ${since}`}`;
}
