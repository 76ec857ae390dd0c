import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventLine, readEventLine } from './event-line.ts';
import { outboxEvent } from './sink-batch.suite.ts';

const lineFeed = 0x0a;
const readBack = (line: Buffer): ReturnType<typeof readEventLine> => readEventLine(line.subarray(0, -1));

test('the line of an event', () => {
  const event = outboxEvent({
    ecosystem: 'ofb',
    entityKey: 'ordem são 1',
    sourceService: 'shop',
    idempotencyKey: 'not for others',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    headers: '{"region":"100% south"}',
    payload: Buffer.from('{"total": 1.0,  "total": 9007199254740993}'),
  });
  expect(eventLine(event).toString()).toBe(
    '{"specversion":"1.0","id":"01a1fbfe-d2c6-722a-be7c-d716c0c2014e","type":"thing.done","source":"/shop",' +
      '"time":"2026-11-20T10:00:00Z","envelope":"1","tenant":"acme","ecosystem":"ofb","entitykey":"ordem são 1",' +
      '"seq":"1","eventversion":"1",' +
      '"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","hregion":"100% south",' +
      '"datacontenttype":"application/json","data":{"total": 1.0,  "total": 9007199254740993}}\n',
  );
  const spread = eventLine(outboxEvent({ payload: Buffer.from('{\n}') }));
  expect(spread.toString()).toMatch(/"datacontenttype":"application\/json","data_base64":"ewp9"}\n$/);
});

test.each([
  '1.0',
  '9007199254740993',
  '{"a":1,"a":2}',
  ' \t{ "a" :\t1 } ',
  '{\n  "a": 1\n}',
  '{"a":1}\n',
  '\r{"a":1}',
  '"\\u0000 \\n \\ud800"',
  '"\u2028\u2029\u0085\u007f😀"',
  '{"data":{"data_base64":"x"},"data":[]}',
  '",\\"data\\":"',
  'null',
])('the payload %j comes back byte for byte, from one line', (text) => {
  const line = eventLine(outboxEvent({ payload: Buffer.from(text) }));
  expect(line.indexOf(lineFeed)).toBe(line.length - 1);
  expect(line.includes('\r')).toBe(false);
  expect(readBack(line).data.toString()).toBe(text);
  // Any reader of CloudEvents gets the same value.
  const other = JSON.parse(line.toString()) as { data: unknown; data_base64?: string };
  const data =
    other.data_base64 === undefined ? other.data : Buffer.from(other.data_base64, 'base64').toString();
  expect(other.data_base64 === undefined ? data : JSON.parse(data as string)).toEqual(JSON.parse(text));
});

// What could be mistaken for the beginning of the data, or for the end of a line.
const treacherous = fc.constantFrom(
  ',"data":',
  '","data":',
  ',',
  '"',
  '\\',
  '}',
  '\n',
  '\r',
  ',"data_base64":"',
);
const text = fc
  .array(fc.oneof(treacherous, fc.string({ unit: 'binary' })), { maxLength: 6 })
  .map((parts) => parts.join(''));

test('no attribute can be mistaken for the data, and none is changed', () => {
  const name = fc.stringMatching(/^[a-z0-9]{1,20}$/);
  const own = fc.dictionary(name, text, { noNullPrototype: true });
  fc.assert(
    fc.property(
      text,
      text,
      own,
      fc.json(),
      fc.constantFrom('', '\n'),
      (tenantId, entityKey, headers, json, end) => {
        const payload = Buffer.from(json + end);
        const event = outboxEvent({ tenantId, entityKey, headers: JSON.stringify(headers), payload });
        const line = eventLine(event);
        expect(line.indexOf(lineFeed)).toBe(line.length - 1);
        const { attributes, data } = readBack(line);
        expect(data.equals(payload)).toBe(true);
        expect(attributes).toMatchObject({
          tenant: tenantId,
          entitykey: entityKey,
          datacontenttype: 'application/json',
        });
        for (const [key, value] of Object.entries(headers)) expect(attributes[`h${key}`]).toBe(value);
      },
    ),
    { numRuns: 300 },
  );
});

test.each(['', '{}', '{"id":"1"}', '{"id":"1","data":{}', 'x,"data":{}}', '{"id":"1","data_base64":"ewp9"'])(
  '%j is not a line',
  (line) => {
    expect(() => readEventLine(Buffer.from(line))).toThrow(SyntaxError);
  },
);
