/**
 * Recorded replication frames, as files. All integers are big-endian.
 *
 * ```
 * 8 bytes   "pgoutput"
 * 4 bytes   server_version_num of the server that was recorded
 * then, per frame: 4 bytes length, and so many bytes: the content of one CopyData message,
 *           from its kind byte ("w" XLogData or "k" keepalive) on
 * ```
 */
export interface PgoutputRecording {
  readonly serverVersion: number;
  readonly frames: readonly Buffer[];
}

const magic = 'pgoutput';

/** The file's bytes. */
export function encodeRecording(recording: PgoutputRecording): Buffer {
  const parts: Buffer[] = [Buffer.from(magic), uint32(recording.serverVersion)];
  for (const frame of recording.frames) parts.push(uint32(frame.length), frame);
  return Buffer.concat(parts);
}

/** @throws TypeError not such a file */
export function decodeRecording(file: Buffer): PgoutputRecording {
  if (file.length < 12 || file.toString('latin1', 0, 8) !== magic) throw new TypeError('not a recording');
  const frames: Buffer[] = [];
  for (let at = 12; at < file.length; ) {
    if (file.length - at < 4) throw new TypeError(`cut short at byte ${at}`);
    const from = at + 4;
    at = from + file.readUInt32BE(at);
    if (at > file.length) throw new TypeError(`cut short: the frame at byte ${from - 4} goes beyond the end`);
    frames.push(file.subarray(from, at));
  }
  return { serverVersion: file.readUInt32BE(8), frames };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
