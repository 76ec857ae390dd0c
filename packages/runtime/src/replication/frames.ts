import { runtimeError } from '../errors/codes.ts';
import { type Lsn, toLsn } from './lsn.ts';
import type { PgoutputDecoder } from './pgoutput/decoder.ts';
import type { PgoutputMessage } from './pgoutput/messages.ts';
import type { ByteReader } from './pgoutput/reader.ts';

// Source: PostgreSQL manual, "Streaming Replication Protocol", the CopyData messages of START_REPLICATION.

const xlogDataKind = 0x77; // w
const xlogDataHeaderBytes = 24;
const keepaliveKind = 0x6b; // k
const statusUpdateKind = 0x72; // r
const statusUpdateBytes = 34;

/** A keepalive: everything that ends before {@link walEnd} and concerns this connection has been sent. */
export interface Keepalive {
  readonly kind: 'keepalive';
  readonly walEnd: Lsn;
  /** Milliseconds since 1970 with a fraction, by the server's clock. */
  readonly sentAt: number;
  /** The server will end the connection if no status comes soon. */
  readonly replyRequested: boolean;
}

/**
 * Reads the content of one CopyData message, which must fill the reader's range exactly.
 *
 * Of XLogData's header (start and end of the WAL data, the server's clock) nothing is kept: under pgoutput
 * both positions are the record's own, and the rows of one COPY share one record's position.
 * @throws ER3002 neither XLogData nor a keepalive; and what {@link PgoutputDecoder.decode} throws
 */
export function decodeFrame(reader: ByteReader, decoder: PgoutputDecoder): PgoutputMessage | Keepalive {
  const kind = reader.uint8();
  if (kind === xlogDataKind) {
    reader.need(xlogDataHeaderBytes);
    reader.position += xlogDataHeaderBytes;
    return decoder.decode(reader);
  }
  if (kind === keepaliveKind) return readKeepalive(reader);
  throw runtimeError('ER3002', { detail: `A replication frame has the kind ${kind}.` });
}

function readKeepalive(reader: ByteReader): Keepalive {
  const walEnd = reader.lsn();
  const sentAt = reader.timestamp();
  const replyRequested = reader.uint8() !== 0;
  if (reader.remaining > 0) {
    throw runtimeError('ER3001', { detail: `${reader.remaining} bytes follow a keepalive.` });
  }
  return { kind: 'keepalive', walEnd, sentAt, replyRequested };
}

export interface StatusUpdate {
  /** Reported as written, flushed and applied alike: we have no other notion of progress. */
  readonly confirmed: Lsn;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Ask the server to answer with a keepalive at once. */
  readonly replyRequested: boolean;
}

/** Standby status update. */
export function encodeStatusUpdate(status: StatusUpdate): Buffer {
  const frame = Buffer.alloc(statusUpdateBytes);
  frame[0] = statusUpdateKind;
  frame.writeBigUInt64BE(status.confirmed, 1);
  frame.writeBigUInt64BE(status.confirmed, 9);
  frame.writeBigUInt64BE(status.confirmed, 17);
  frame.writeBigInt64BE((BigInt(Math.trunc(status.now)) - 946_684_800_000n) * 1_000n, 25);
  frame[33] = status.replyRequested ? 1 : 0;
  return frame;
}

/** Reads a status update back; what a test or a simulated server needs. @returns undefined: not one */
export function decodeStatusUpdate(
  frame: Buffer,
):
  | { readonly written: Lsn; readonly flushed: Lsn; readonly applied: Lsn; readonly replyRequested: boolean }
  | undefined {
  if (frame.length !== statusUpdateBytes || frame[0] !== statusUpdateKind) return undefined;
  return {
    written: toLsn(frame.readBigUInt64BE(1)),
    flushed: toLsn(frame.readBigUInt64BE(9)),
    applied: toLsn(frame.readBigUInt64BE(17)),
    replyRequested: frame[33] === 1,
  };
}
