import { createHash } from 'node:crypto';
import type { ReceivedMessage } from '@event-runtime/runtime/testing';
import { expect, test } from 'vitest';
import type { ExpectedEvent } from './expected-events.ts';
import { streamArrivals } from './stream-arrivals.ts';
import { isExact, judge, type Verdict } from './verdict.ts';

const body = (eventId: string): Buffer => Buffer.from(` {"id":"${eventId}", "n":1.0}`);

const expected: readonly ExpectedEvent[] = ['e1', 'e2', 'e3'].map((eventId, index) => ({
  eventId,
  tenant: 'acme',
  entityKey: 'claim 7',
  ordinal: index + 1,
  eventType: 'claim.approved',
  sha256: createHash('sha256').update(body(eventId)).digest('hex'),
}));
const messages = expected.map(
  ({ eventId, entityKey }): ReceivedMessage => ({
    attributes: { id: eventId, tenant: 'acme', type: 'claim.approved', entitykey: entityKey },
    data: body(eventId),
    subject: 'events.acme.claim.approved',
    messageId: eventId,
    storedAt: performance.timeOrigin + 250,
  }),
) as [ReceivedMessage, ReceivedMessage, ReceivedMessage];
const [m1, m2, m3] = messages;

const judged = (stream: readonly ReceivedMessage[]): Verdict => judge(expected, streamArrivals(stream));

test('a stream with each event once, in order, is exact, and says when each was stored', () => {
  expect(judged(messages).differences).toEqual([]);
  expect(isExact(judged(messages))).toBe(true);
  expect(streamArrivals(messages).received[0]?.arrivedAt).toBeCloseTo(250, 3);
});

test.each<[string, readonly ReceivedMessage[], Partial<Verdict>, RegExp]>([
  ['a lost message', [m1, m3], { lost: 1 }, /^e2 .*never came/],
  ['a message twice', [m1, m2, m2, m3], { repeated: 1, duplicates: 1 }, /^e2 .*is there again/],
  ['two messages of an entity swapped', [m2, m1, m3], { reordered: 1 }, /^e1 .*came after e2/],
  [
    'a byte more',
    [m1, { ...m2, data: Buffer.concat([m2.data, Buffer.from(' ')]) }, m3],
    { corrupted: 1 },
    /sha256/,
  ],
  [
    "another tenant's subject",
    [m1, m2, { ...m3, subject: 'events.globex.claim.approved' }],
    { corrupted: 1 },
    /tenant is acme, but acme in ce-tenant, globex in its subject came/,
  ],
  [
    'a subject without its last part',
    [m1, m2, { ...m3, subject: 'events.acme.claim' }],
    { corrupted: 1 },
    /type is claim\.approved, but claim\.approved in ce-type, claim in its subject came/,
  ],
  [
    'headers that name another tenant',
    [m1, m2, { ...m3, attributes: { ...m3.attributes, tenant: 'globex' } }],
    { corrupted: 1 },
    /globex in ce-tenant, acme in its subject/,
  ],
])('%s is convicted', (_name, stream, wrong, line) => {
  const verdict = judged(stream);
  expect(verdict).toMatchObject(wrong);
  expect(verdict.differences.map((difference) => difference.line)).toEqual([expect.stringMatching(line)]);
  expect(isExact(verdict)).toBe(false);
});

test('a message whose Nats-Msg-Id is not its event is that of no event, which is lost', () => {
  const verdict = judged([m1, { ...m2, messageId: 'x' }, m3]);
  expect(verdict).toMatchObject({ lost: 1, phantom: 1 });
  expect(verdict.differences[0]?.line).toMatch(/^e2 in ce-id, x in Nats-Msg-Id .*never committed/);
});
