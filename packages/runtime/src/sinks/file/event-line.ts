import type { OutboxEvent } from '../../log/outbox-event.ts';
import { allAttributes } from '../envelope.ts';

/** One line of a file sink's file. */
export interface FileSinkEntry {
  /** The envelope's attributes and the producer's headers (each under `h` and its name), as text. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The payload byte for byte as emitted. */
  readonly data: Buffer;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const closingBrace = 0x7d;
const verbatim = Buffer.from(',"data":');
const encoded = Buffer.from(',"data_base64":"');
const lineEnd = Buffer.from('}\n');
const encodedLineEnd = Buffer.from('"}\n');

/**
 * An event as a line with its `\n`: an event in CloudEvents' JSON format, its data last.
 *
 * `data` is the payload verbatim, as emitted. JSON may hold CR and LF as white space, which would break the line:
 * such a payload is `data_base64`, the format's own member for bytes.
 *
 * Source: CloudEvents 1.0.2, JSON Event Format.
 */
export function eventLine(event: OutboxEvent): Buffer {
  const attributes = Buffer.from(JSON.stringify(lineAttributes(event)).slice(0, -1));
  const { payload } = event;
  if (!payload.includes(lineFeed) && !payload.includes(carriageReturn)) {
    return Buffer.concat([attributes, verbatim, payload, lineEnd]);
  }
  return Buffer.concat([attributes, encoded, Buffer.from(payload.toString('base64')), encodedLineEnd]);
}

/**
 * Reads a line, without its `\n`, back.
 *
 * @throws SyntaxError for a line that {@link eventLine} does not write
 */
export function readEventLine(line: Buffer): FileSinkEntry {
  const entry = split(line);
  // A line that was damaged inside of its data must not pass for an event.
  JSON.parse(entry.data.toString());
  return entry;
}

function split(line: Buffer): FileSinkEntry {
  if (line.at(-1) !== closingBrace) throw new SyntaxError('the line is cut short');
  // The first is ours: within a JSON text a bare quote opens or closes a string, and no attribute is named so.
  const plain = line.indexOf(verbatim);
  if (plain !== -1) {
    return { attributes: readAttributes(line, plain), data: line.subarray(plain + verbatim.length, -1) };
  }
  const base64 = line.indexOf(encoded);
  if (base64 === -1) throw new SyntaxError('the line has no data');
  const text = line.toString('latin1', base64 + encoded.length, line.length - 2);
  return { attributes: readAttributes(line, base64), data: Buffer.from(text, 'base64') };
}

function readAttributes(line: Buffer, end: number): Readonly<Record<string, string>> {
  return JSON.parse(`${line.toString('utf8', 0, end)}}`) as Record<string, string>;
}

function lineAttributes(event: OutboxEvent): Record<string, string> {
  return { ...allAttributes(event), datacontenttype: 'application/json' };
}
