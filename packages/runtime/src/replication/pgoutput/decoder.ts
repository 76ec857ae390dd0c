import { runtimeError } from '../../errors/codes.ts';
import type {
  DeleteMessage,
  LogicalMessage,
  PgoutputMessage,
  RelationColumn,
  RelationMessage,
  ReplicaIdentity,
  TruncateMessage,
  UpdateMessage,
} from './messages.ts';
import type { ByteReader } from './reader.ts';
import { Tuple } from './tuple.ts';

const newRow = 0x4e; // N
const oldKey = 0x4b; // K
const oldRow = 0x4f; // O

/**
 * Bytes to messages, for `proto_version '1'` (no streaming of open transactions, no two-phase commit).
 * No input or output: what it knows beside the bytes is the Relation messages that it has seen, for a
 * row names its table by oid. One decoder serves one connection.
 *
 * Any input ends in a message or in one of
 * - ER3001: cut short, a length that does not fit, bytes left over, a value that the protocol has not;
 * - ER3002: a kind of message that version 1 has not;
 * - ER3003: a row of a table whose Relation message has not come.
 * It takes time and memory in proportion to the message's real size, whatever lengths stand in it.
 *
 * Source: PostgreSQL manual, "Logical Replication Message Formats".
 */
export class PgoutputDecoder {
  readonly #relations = new Map<number, RelationMessage>();

  /** Reads one message, which must fill the reader's range exactly. */
  decode(reader: ByteReader): PgoutputMessage {
    const kind = reader.uint8();
    const message = this.#read(kind, reader);
    if (reader.position !== reader.end) {
      throw runtimeError('ER3001', { detail: `${reader.remaining} bytes follow a message of kind ${kind}.` });
    }
    return message;
  }

  #read(kind: number, reader: ByteReader): PgoutputMessage {
    switch (kind) {
      case 0x49: // I
        return { kind: 'insert', relation: this.#relation(reader), row: tuple(newRow, reader) };
      case 0x42: // B
        return {
          kind: 'begin',
          finalLsn: reader.lsn(),
          committedAt: reader.timestamp(),
          xid: reader.uint32(),
        };
      case 0x43: // C
        expectFlags(reader.uint8(), 0);
        return {
          kind: 'commit',
          commitLsn: reader.lsn(),
          endLsn: reader.lsn(),
          committedAt: reader.timestamp(),
        };
      case 0x52: // R
        return this.#define(reader);
      case 0x55: // U
        return this.#update(reader);
      case 0x44: // D
        return this.#delete(reader);
      case 0x54: // T
        return this.#truncate(reader);
      case 0x4f: // O
        return { kind: 'origin', originLsn: reader.lsn(), name: reader.cstring() };
      case 0x59: // Y
        return { kind: 'type', oid: reader.uint32(), schema: reader.cstring(), name: reader.cstring() };
      case 0x4d: // M
        return logicalMessage(reader);
      default:
        throw runtimeError('ER3002', { detail: `The kind is ${kind}.` });
    }
  }

  #relation(reader: ByteReader): RelationMessage {
    const oid = reader.uint32();
    const relation = this.#relations.get(oid);
    if (relation === undefined) {
      throw runtimeError('ER3003', { detail: `A row of table ${oid} came before its Relation message.` });
    }
    return relation;
  }

  #define(reader: ByteReader): RelationMessage {
    const relation = readRelation(reader);
    // Known only when whole: a Relation message with bytes left over is refused, and must not stay.
    if (reader.remaining === 0) this.#relations.set(relation.oid, relation);
    return relation;
  }

  #update(reader: ByteReader): UpdateMessage {
    const relation = this.#relation(reader);
    const before = reader.uint8();
    if (before === newRow) {
      return { kind: 'update', relation, key: null, old: null, row: Tuple.read(reader) };
    }
    const old = previous(before, reader);
    return { kind: 'update', relation, key: old.key, old: old.old, row: tuple(newRow, reader) };
  }

  #delete(reader: ByteReader): DeleteMessage {
    const relation = this.#relation(reader);
    const { key, old } = previous(reader.uint8(), reader);
    return { kind: 'delete', relation, key, old };
  }

  #truncate(reader: ByteReader): TruncateMessage {
    const count = reader.uint32();
    const options = reader.uint8();
    if ((options & ~3) !== 0)
      throw runtimeError('ER3001', { detail: `Truncate has the options ${options}.` });
    reader.need(count * 4);
    const relations: RelationMessage[] = [];
    for (let index = 0; index < count; index += 1) relations.push(this.#relation(reader));
    return {
      kind: 'truncate',
      relations,
      cascade: (options & 1) !== 0,
      restartIdentity: (options & 2) !== 0,
    };
  }
}

function tuple(marker: number, reader: ByteReader): Tuple {
  const found = reader.uint8();
  if (found !== marker) {
    throw runtimeError('ER3001', { detail: `A row begins with ${found} where ${marker} is due.` });
  }
  return Tuple.read(reader);
}

function previous(marker: number, reader: ByteReader): { key: Tuple | null; old: Tuple | null } {
  if (marker === oldKey) return { key: Tuple.read(reader), old: null };
  if (marker === oldRow) return { key: null, old: Tuple.read(reader) };
  throw runtimeError('ER3001', { detail: `An old row begins with ${marker}.` });
}

function readRelation(reader: ByteReader): RelationMessage {
  const oid = reader.uint32();
  const schema = reader.cstring();
  const name = reader.cstring();
  const replicaIdentity = identity(reader.uint8());
  const count = reader.uint16();
  const columns: RelationColumn[] = [];
  for (let index = 0; index < count; index += 1) {
    const flags = reader.uint8();
    expectFlags(flags, 1);
    columns.push({
      key: flags === 1,
      name: reader.cstring(),
      typeOid: reader.uint32(),
      typeModifier: reader.int32(),
    });
  }
  return { kind: 'relation', oid, schema, name, replicaIdentity, columns };
}

/** `pg_class.relreplident`. */
function identity(letter: number): ReplicaIdentity {
  switch (letter) {
    case 0x64: // d
      return 'default';
    case 0x6e: // n
      return 'nothing';
    case 0x66: // f
      return 'full';
    case 0x69: // i
      return 'index';
    default:
      throw runtimeError('ER3001', { detail: `A table has the replica identity ${letter}.` });
  }
}

function logicalMessage(reader: ByteReader): LogicalMessage {
  const flags = reader.uint8();
  expectFlags(flags, 1);
  return {
    kind: 'message',
    transactional: flags === 1,
    lsn: reader.lsn(),
    prefix: reader.cstring(),
    content: reader.slice(reader.int32()),
  };
}

function expectFlags(flags: number, known: number): void {
  if ((flags & ~known) !== 0) throw runtimeError('ER3001', { detail: `The flags ${flags} are not known.` });
}
