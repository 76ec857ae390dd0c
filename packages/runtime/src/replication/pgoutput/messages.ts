import type { Lsn } from '../lsn.ts';
import type { Tuple } from './tuple.ts';

// Source of all shapes: PostgreSQL manual, "Logical Replication Message Formats", protocol version 1.

/** The transaction begins. It is sent when it has committed: what was rolled back never comes. */
export interface BeginMessage {
  readonly kind: 'begin';
  /** Where the transaction's commit record starts: {@link CommitMessage.commitLsn} of the same transaction. */
  readonly finalLsn: Lsn;
  /**
   * Milliseconds since 1970 with a fraction (microseconds), by the database's clock; by the other
   * server's, where an {@link OriginMessage} follows.
   */
  readonly committedAt: number;
  /** The top transaction's 32-bit id; savepoints' ids do not appear. */
  readonly xid: number;
}

/** The transaction is complete. */
export interface CommitMessage {
  readonly kind: 'commit';
  /** Where the commit record starts. */
  readonly commitLsn: Lsn;
  /** Where the commit record ends: what to confirm once the transaction is durable elsewhere. */
  readonly endLsn: Lsn;
  /**
   * Milliseconds since 1970 with a fraction (microseconds), by the database's clock; by the other
   * server's, where an {@link OriginMessage} follows.
   */
  readonly committedAt: number;
}

/** Where a transaction came from that a replication client applied here. Stands directly after Begin. */
export interface OriginMessage {
  readonly kind: 'origin';
  /** The commit's LSN on the server of origin. */
  readonly originLsn: Lsn;
  readonly name: string;
}

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  /** `atttypmod`; -1 for none. */
  readonly typeModifier: number;
  /** Whether the column is part of the replica identity. */
  readonly key: boolean;
}

/** `default` the primary key, `nothing`, `full` the whole row, `index` a named index. */
export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

/**
 * A table's columns. Comes before the first change of the table on a connection and again when its
 * definition changed; rows refer to the newest one by reference, so it can key a WeakMap.
 */
export interface RelationMessage {
  readonly kind: 'relation';
  readonly oid: number;
  /** Empty for `pg_catalog`. */
  readonly schema: string;
  readonly name: string;
  readonly replicaIdentity: ReplicaIdentity;
  readonly columns: readonly RelationColumn[];
}

/** The name of a type that is not built in (an enum, an array of it, a composite). A domain bears its base type's name. */
export interface TypeMessage {
  readonly kind: 'type';
  readonly oid: number;
  /** Empty for `pg_catalog`. */
  readonly schema: string;
  readonly name: string;
}

export interface InsertMessage {
  readonly kind: 'insert';
  readonly relation: RelationMessage;
  readonly row: Tuple;
}

export interface UpdateMessage {
  readonly kind: 'update';
  readonly relation: RelationMessage;
  /** The old key, when it changed; all other columns of it are null. */
  readonly key: Tuple | null;
  /** The whole old row, under `replica identity full`. */
  readonly old: Tuple | null;
  readonly row: Tuple;
}

export interface DeleteMessage {
  readonly kind: 'delete';
  readonly relation: RelationMessage;
  /** The row's key; all other columns of it are null. Null under `replica identity full`. */
  readonly key: Tuple | null;
  /** The whole old row, under `replica identity full`. */
  readonly old: Tuple | null;
}

export interface TruncateMessage {
  readonly kind: 'truncate';
  readonly relations: readonly RelationMessage[];
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
}

/** What `pg_logical_emit_message` wrote. Only with the option `messages`. */
export interface LogicalMessage {
  readonly kind: 'message';
  /** False: it comes at once, outside of any transaction. */
  readonly transactional: boolean;
  readonly lsn: Lsn;
  readonly prefix: string;
  /** Not copied: it belongs to the socket's chunk (see {@link Tuple}). */
  readonly content: Buffer;
}

export type PgoutputMessage =
  | BeginMessage
  | CommitMessage
  | OriginMessage
  | RelationMessage
  | TypeMessage
  | InsertMessage
  | UpdateMessage
  | DeleteMessage
  | TruncateMessage
  | LogicalMessage;
