import assert from 'node:assert/strict';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import { checkEnvelope } from './checks.ts';
import { batchOf } from './conformance-events.ts';
import { checkResults } from './handover.ts';
import type { SinkCase, SinkConformanceOptions } from './sink-site.ts';

/** JSON that does not survive being parsed and written again, or that is easily damaged. */
const payloads = [
  '1.0',
  '9007199254740993',
  '{"a":1,"a":2}',
  ' {\t"a" :\r\n 1e3 } \n',
  '"\\u0000 \\ud83d\\ude00 😀 é"',
  '"line\\nfeed"',
  'null',
  '[]',
  `"${'x'.repeat(100_000)}"`,
];

/** What a name may have in it that a destination's own syntax gives a meaning to. */
const odd = [
  'a.b > *',
  'with space',
  'ümläut 日本 😀',
  '"quoted", comma; and %41 percent',
  '/slash\\back',
  '',
  'k'.repeat(500),
];

/** Batches that nothing disturbs. */
export function deliveryCases(options: SinkConformanceOptions): SinkCase[] {
  const { features, without = [] } = options;
  const cases = [
    sinkCase(options, 'has a name, and the features that it was said to have', declares),
    sinkCase(
      options,
      'one result for each event, in the order of the batch; an empty batch is nothing',
      counts,
    ),
    sinkCase(options, 'payloads arrive byte for byte', bytes),
    sinkCase(
      options,
      'each entity in order, within batches and across them, also through a second sink',
      order,
    ),
    sinkCase(options, 'a batch that is handed over again loses and reorders nothing', again),
  ];
  if (!without.includes('envelope') && !without.includes('received')) {
    cases.push(sinkCase(options, 'the envelope arrives, whatever is in it', envelope));
  }
  if (features.maxPayloadBytes !== undefined) {
    cases.push(
      sinkCase(options, 'a payload above the limit is rejected alone; one at the limit arrives', limit),
    );
  }
  return cases;
}

async function declares(run: CaseRun): Promise<void> {
  const sink = await run.open();
  assert.match(sink.name, /^[^*@#].{0,199}$/s, 'the name of the sink');
  assert.deepEqual(sink.features, run.options.features);
}

async function counts(run: CaseRun): Promise<void> {
  const batches = [1, 2, 500].map((size) => run.make.many(size, { entities: 50 }));
  const all = batches.flat();
  await run.site.prepare?.(all);
  const sink = await run.open();
  const { signal } = new AbortController();
  assert.deepEqual(await run.soon('an empty batch', sink.deliver(batchOf([]), { signal })), []);
  for (const batch of batches) {
    const results = await run.soon('a batch', sink.deliver(batchOf(batch), { signal }));
    checkResults(batch, results);
    for (const { type } of results) assert.equal(type, 'delivered');
  }
  await run.expectReceived(all);
}

async function bytes(run: CaseRun): Promise<void> {
  const { maxPayloadBytes = 1_000_000 } = run.options.features;
  const large = `"${'é'.repeat(Math.min(500_000, Math.floor(maxPayloadBytes / 2) - 1))}"`;
  const events = [...payloads, large]
    .map((text) => run.make.make({ payload: Buffer.from(text) }))
    .filter(({ event }) => event.payload.length <= maxPayloadBytes);
  await deliverAll(run, events);
}

async function envelope(run: CaseRun): Promise<void> {
  const events = odd.map((text) =>
    run.make.make({
      tenantId: text === '' ? 'acme' : text,
      eventType: text === '' ? 'thing.done' : text,
      entityKey: text,
      ecosystem: 'ofb',
      eventVersion: 7,
      correlationId: text === '' ? null : text,
      causationId: '01a1f866-0918-7abc-8123-456789abcdef',
      sourceService: 'shop',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      headers: JSON.stringify({ region: text, other: '100% south' }),
    }),
  );
  const bare = run.make.make();
  await deliverAll(run, [...events, bare]);
  checkEnvelope(await run.received(), [...events, bare]);
}

async function order(run: CaseRun): Promise<void> {
  const events = [...run.make.many(600, { entities: 3 }), ...run.make.many(300, { entities: 200 })];
  await run.site.prepare?.(events);
  const first = await run.open();
  const { rejected } = await run.handOver(first, events.slice(0, 700), 64);
  assert.equal(rejected.size, 0);
  await run.end(first);
  await run.handOver(await run.open(), events.slice(700), 7);
  await run.expectReceived(events);
}

async function again(run: CaseRun): Promise<void> {
  const events = run.make.many(60, { entities: 4 });
  await run.site.prepare?.(events);
  const first = await run.open();
  await run.handOver(first, events.slice(0, 40), 40);
  // The answer was lost, and the next batch begins earlier than the last one ended.
  await run.handOver(first, events.slice(0, 40), 40);
  await run.end(first);
  await run.handOver(await run.open(), events.slice(20), 40);
  await run.expectReceived(events);
}

async function limit(run: CaseRun): Promise<void> {
  const { maxPayloadBytes = 0 } = run.options.features;
  const entityKey = 'large';
  const before = run.make.make({ entityKey });
  const above = run.make.make({ entityKey, payload: Buffer.alloc(maxPayloadBytes + 1, '1') });
  const at = run.make.make({ entityKey, payload: Buffer.alloc(maxPayloadBytes, '1') });
  const other = run.make.make({ entityKey: 'other' });
  await run.site.prepare?.([before, above, at, other]);
  const { rejected } = await run.handOver(await run.open(), [before, above, at, other]);
  assert.deepEqual([...rejected.keys()], [above.event.eventId]);
  await run.expectReceived([before, at, other]);
}

async function deliverAll(run: CaseRun, events: readonly LoggedEvent[]): Promise<void> {
  await run.site.prepare?.(events);
  const { rejected } = await run.handOver(await run.open(), events);
  assert.deepEqual([...rejected], []);
  await run.expectReceived(events);
}
