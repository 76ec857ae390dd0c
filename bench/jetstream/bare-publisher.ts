// What a relay into JetStream cannot do without: decodes the WAL, publishes each event with the same headers, subject and
// payload as the product, and matches the acknowledgements. No checkpoint, no routes, no order, no errors but its own end.
import { writeFile } from 'node:fs/promises';
import { connect, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { OutboxEvent } from '../../packages/runtime/src/log/outbox-event.ts';
import { isOutbox, readOutboxRow } from '../../packages/runtime/src/log/outbox-row.ts';
import { openReplicationStream } from '../../packages/runtime/src/replication/replication-stream.ts';
import { bareHeaders } from './bare-message.ts';
import type { BareOptions, BareResult } from './bare-process.ts';

const options = JSON.parse(process.argv[2] ?? '') as BareOptions;
const { events, stream, mostInFlight } = options;

const connection = await connect({ servers: [options.natsUrl], reconnect: false });
const inbox = `_INBOX.${crypto.randomUUID().replaceAll('-', '')}.`;
const stored = `{"stream":"${stream}"`;
const waiting = new Set<string>();
/** By the sequence in the stream, from 1 on: milliseconds since 1970 when the acknowledgement had come. */
const acknowledgedAt = new Float64Array(events + 1);
let [sent, acknowledged] = [0, 0];
let first: { readonly at: number; readonly cpuSeconds: number } | undefined;
let room: (() => void) | undefined;
let over: (() => void) | undefined;
const finished = new Promise<void>((resolve) => {
  over = resolve;
});

connection.subscribe(`${inbox}*`, { callback: onAnswer });
await connection.flush();
await using log = await openReplicationStream({
  connectionString: options.databaseUrl,
  slot: options.slot,
  publication: 'event_runtime',
  temporarySlot: options.temporarySlot,
});
process.stdout.write('ready\n');
await Promise.race([publishAll(), finished]);
await finished;
const last = { at: performance.now(), cpuSeconds: cpuSeconds() };
const seconds = (last.at - (first?.at ?? Number.NaN)) / 1_000;
if (options.acknowledgements !== undefined) await writeFile(options.acknowledgements, acknowledgedAt);
const result: BareResult = {
  perSecond: (events - 1) / seconds,
  cpuSecondsPerThousand: ((last.cpuSeconds - (first?.cpuSeconds ?? Number.NaN)) / (events - 1)) * 1_000,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
await connection.close();

async function publishAll(): Promise<void> {
  for await (const messages of log) {
    for (const message of messages) {
      if (message.kind !== 'insert' || !isOutbox(message.relation)) continue;
      publish(readOutboxRow(message.relation, message.row));
      if (waiting.size < mostInFlight) continue;
      await new Promise<void>((resolve) => {
        room = resolve;
      });
    }
    if (sent === events) return;
  }
}

function publish(event: OutboxEvent): void {
  const id = (sent += 1).toString(36);
  waiting.add(id);
  const encoded = bareHeaders(event, stream);
  connection.publish(`${options.subjects}.${event.tenantId}.${event.eventType}`, event.payload, {
    // Of the library's headers only this is asked for; its own take half as long again as all the rest.
    headers: { encode: () => encoded } as unknown as MsgHdrs,
    reply: inbox + id,
  });
}

function onAnswer(error: Error | null, { subject, data }: Msg): void {
  const text =
    error === null ? Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1') : '';
  if (!text.startsWith(stored)) throw new Error(`not stored: ${error?.message ?? text}`);
  if (!waiting.delete(subject.slice(inbox.length))) throw new Error(`acknowledged unasked: ${subject}`);
  first ??= { at: performance.now(), cpuSeconds: cpuSeconds() };
  if (options.acknowledgements !== undefined) {
    const at = Number(/"seq":(\d+)/.exec(text)?.[1]);
    acknowledgedAt[at] = performance.timeOrigin + performance.now();
  }
  acknowledged += 1;
  if (acknowledged === events) over?.();
  if (room === undefined || waiting.size > mostInFlight / 2) return;
  const go = room;
  room = undefined;
  go();
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
