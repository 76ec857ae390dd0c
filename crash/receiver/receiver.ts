/**
 * The customer's endpoint, a process of its own that may be killed at any moment: it writes each request down and
 * syncs it to disk before it answers 2xx. So what it was killed with is either in its log or was not acknowledged.
 *
 * Arguments: port, path of the log, percent of events that are answered 503 the first time that they come in this life.
 * Says `listening` on standard output, and ends when its standard input closes.
 */
import { createHash } from 'node:crypto';
import { fdatasyncSync, writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Arrival } from '../verdict/verdict.ts';
import { arrivalLine, openArrivalLog } from './arrival-log.ts';

const [port = '', path = '', refuse = '0'] = process.argv.slice(2);
const refusePercent = Number(refuse);
const log = openArrivalLog(path);
/** So that something is always on its way, as with a customer on another continent. */
const answerMs = 15;
const refused = new Set<string>();
let waiting: { readonly arrival: Omit<Arrival, 'at'>; readonly response: ServerResponse }[] = [];

const server = createServer((request, response) => {
  take(request, response).catch(() => response.destroy());
});
// Longer than any pause of a run: a connection that is closed while a request is on its way is a failure of its own.
server.keepAliveTimeout = 120_000;
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
process.stdin.on('close', () => process.exit(0));
process.stdin.resume();

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of request as AsyncIterable<Buffer>) hash.update(chunk);
  const eventId = header(request, 'ce-id');
  if (refuses(eventId)) {
    response.writeHead(503).end();
    return;
  }
  const replay = header(request, 'ce-replay');
  const arrival = {
    eventId,
    // The endpoint that was called, not what a header says.
    tenant: decodeURIComponent((request.url ?? '').replace('/hooks/', '')),
    entityKey: header(request, 'ce-entitykey'),
    sha256: hash.digest('hex'),
    ...(replay === '' ? {} : { replay }),
  };
  if (waiting.length === 0) setTimeout(answer, answerMs);
  waiting.push({ arrival, response });
}

/** One write and one sync for all that came together. */
function answer(): void {
  const together = waiting;
  waiting = [];
  const at = performance.timeOrigin + performance.now();
  writeSync(log, together.map(({ arrival }) => arrivalLine({ ...arrival, at })).join(''));
  fdatasyncSync(log);
  for (const { response } of together) response.writeHead(204).end();
}

/** So that retries happen, and something could overtake. */
function refuses(eventId: string): boolean {
  if (refused.has(eventId)) return false;
  if (createHash('sha256').update(eventId).digest().readUInt32BE(0) % 100 >= refusePercent) return false;
  refused.add(eventId);
  return true;
}

function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? decodeURIComponent(value) : '';
}
