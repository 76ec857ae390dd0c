import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import { type CaseRun, sinkCase } from './case-run.ts';
import { checkEnvelope } from './checks.ts';
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
    sinkCase(options, 'payloads arrive byte for byte, equal ones as often as there are events', bytes),
    sinkCase(
      options,
      'each entity in order, within batches and across them, also through a second sink',
      order,
    ),
    sinkCase(options, 'what was held back comes behind newer events of others: none is skipped', heldBack),
    sinkCase(options, 'a batch that is handed over again loses and reorders nothing', again),
    sinkCase(options, 'an event that is in a batch twice has two results', twice),
  ];
  if (!without.includes('envelope') && !without.includes('received')) {
    cases.push(sinkCase(options, 'the envelope arrives, whatever is in it', envelope));
    cases.push(sinkCase(options, 'what a replay brings arrives once more, and says so', replays));
  }
  if (features.maxPayloadBytes !== undefined) {
    cases.push(
      sinkCase(options, 'a payload above the limit is rejected alone; one at the limit arrives', limit),
    );
  }
  if (!without.includes('poison') && features.maxPayloadBytes === undefined) {
    cases.push(sinkCase(options, 'an event that the destination never takes is rejected alone', poison));
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
  const none = await run.deliver(sink, [], { signal });
  assert.deepEqual(none, { results: [] }, 'an empty batch');
  for (const batch of batches) {
    const answer = await run.deliver(sink, batch, { signal });
    if (answer.results === undefined) {
      const failed = new assert.AssertionError({ message: 'a batch that nothing disturbs failed' });
      throw Object.assign(failed, { cause: answer.error });
    }
    for (const { type } of answer.results) assert.equal(type, 'delivered');
  }
  await run.expectReceived(all);
}

async function bytes(run: CaseRun): Promise<void> {
  const { maxPayloadBytes = 1_000_000 } = run.options.features;
  const large = `"${'é'.repeat(Math.min(500_000, Math.floor(maxPayloadBytes / 2) - 1))}"`;
  // Also when all that a sink may look at is equal but the id.
  const events = [...payloads, large, ...payloads]
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

async function replays(run: CaseRun): Promise<void> {
  const events = run.make.many(20, { entities: 3 });
  const replay = randomUUID();
  const replayed = events.map((logged) => ({ ...logged, event: { ...logged.event, replay } }));
  await run.site.prepare?.(events);
  const sink = await run.open();
  if (run.options.features.ownCheckpoint) {
    await run.handOver(sink, events, 20);
    await run.handOver(sink, replayed, 20);
  } else {
    await run.handOver(sink, events.slice(0, 10), 10);
    // A part of the replay goes along with what is fed, behind it.
    await run.handOver(sink, [...events.slice(10), ...replayed.slice(0, 15)], 25);
    await run.handOver(sink, replayed.slice(15), 5);
  }
  const before = await run.received();
  // The answer was lost.
  await run.handOver(sink, replayed, 20);
  const received = await run.received();
  if (run.options.features.dedupe) assert.equal(received.length, before.length, 'a replay that is repeated');
  for (const [mark, handed] of [[undefined, events] as const, [replay, replayed] as const]) {
    const marked = received.filter(({ attributes }) => attributes['replay'] === mark);
    const ids = new Set(marked.map(({ attributes }) => attributes['id']));
    assert.equal(ids.size, handed.length, `events with the attribute replay ${mark ?? 'not there'}`);
    checkEnvelope(marked, handed);
  }
}

async function order(run: CaseRun): Promise<void> {
  const tenants = ['acme', 'globex', 'initech'];
  const events = [
    ...run.make.many(600, { entities: 2, tenants }),
    ...run.make.many(300, { entities: 70, tenants }),
  ];
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

/** One entity waits while others go on, and a process ends meanwhile. */
async function heldBack(run: CaseRun): Promise<void> {
  const events = run.make.many(60, { entities: 3 });
  const [late, later, latest] = [0, 1, 2].map((key) => events.filter((_, index) => index % 3 === key));
  await run.site.prepare?.(events);
  const first = await run.open();
  await run.handOver(first, latest ?? []);
  await run.handOver(first, later ?? []);
  await run.end(first);
  await run.handOver(await run.open(), late ?? []);
  await run.expectReceived(events);
}

async function twice(run: CaseRun): Promise<void> {
  const events = run.make.many(6, { entities: 2 });
  await run.site.prepare?.(events);
  const { rejected } = await run.handOver(await run.open(), [...events.slice(0, 4), ...events.slice(2)]);
  assert.deepEqual([...rejected], []);
  await run.expectReceived(events);
}

async function poison(run: CaseRun): Promise<void> {
  const { make, site } = run;
  const events = make.many(8, { entities: 2 });
  const poisoned = [1, 4].map((place) => {
    const bad = site.poison?.(events[place] as LoggedEvent) as LoggedEvent;
    events[place] = bad;
    return bad.event.eventId;
  });
  const good = events.filter(({ event }) => !poisoned.includes(event.eventId));
  await site.prepare?.(good);
  const { rejected } = await run.handOver(await run.open(), events);
  assert.deepEqual([...rejected.keys()], poisoned);
  await run.expectReceived(good);
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
