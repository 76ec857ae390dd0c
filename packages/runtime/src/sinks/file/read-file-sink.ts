import { createReadStream } from 'node:fs';
import { runtimeError } from '../../errors/codes.ts';
import { type FileSinkEntry, readEventLine } from './event-line.ts';

const lineFeed = 0x0a;

/**
 * Reads a file sink's file from its beginning, line by line, in the order in which the events were delivered.
 * A last line without its end is left out: it is being written, or was torn by a crash and comes again.
 *
 * @throws EventRuntimeError ER4012 for a line that no file sink wrote; Error of Node (`ENOENT`, …); the signal's
 *   AbortError
 */
export async function* readFileSink(
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FileSinkEntry, void, void> {
  let number = 0;
  let parts: Buffer[] = [];
  for await (const chunk of createReadStream(path, options) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(lineFeed); at !== -1; at = chunk.indexOf(lineFeed, from)) {
      number += 1;
      yield readLine(Buffer.concat([...parts, chunk.subarray(from, at)]), `${path}, line ${number}`);
      parts = [];
      from = at + 1;
    }
    if (from < chunk.length) parts.push(chunk.subarray(from));
  }
}

function readLine(line: Buffer, place: string): FileSinkEntry {
  try {
    return readEventLine(line);
  } catch {
    // Without the cause: the parser's message quotes the line, which is data.
    throw runtimeError('ER4012', { detail: place });
  }
}
