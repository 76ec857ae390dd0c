import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bareEvent } from '../testing/sink-conformance/conformance-events.ts';
import { envelopeAttributes, httpEnvelope } from './envelope.ts';

const bare = bareEvent({
  seq: 9_007_199_254_740_993n,
  eventType: 'claim.approved',
  eventVersion: 2,
  recordedAt: '2026-11-20 10:00:00.123456+00',
});

test('what every event has, and nothing for what it has not', () => {
  expect(httpEnvelope(bare)).toEqual({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': '01a1fbfe-d2c6-722a-be7c-d716c0c2014e',
    'ce-type': 'claim.approved',
    'ce-source': '/event-runtime',
    'ce-time': '2026-11-20T10:00:00.123456Z',
    'ce-envelope': '1',
    'ce-tenant': 'acme',
    'ce-seq': '9007199254740993',
    'ce-eventversion': '2',
  });
});

test('what an event may have', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const full = httpEnvelope({
    ...bare,
    ecosystem: 'ofb',
    entityKey: 'claim 1',
    idempotencyKey: 'not for others',
    correlationId: 'c',
    causationId: 'd',
    sourceService: 'billing',
    traceparent,
    headers: '{"region":"São Paulo","id":"mine"}',
  });
  expect(full).toMatchObject({
    'ce-source': '/billing',
    'ce-ecosystem': 'ofb',
    'ce-entitykey': 'claim%201',
    'ce-correlationid': 'c',
    'ce-causationid': 'd',
    traceparent,
    'ce-hregion': 'S%C3%A3o%20Paulo',
    'ce-hid': 'mine',
    'ce-id': bare.eventId,
  });
  expect(JSON.stringify(full)).not.toContain('not for others');
});

test.each([
  ['plain-ASCII_~!', 'plain-ASCII_~!'],
  [' ', '%20'],
  ['"', '%22'],
  ['%20', '%2520'],
  ['a\r\nx: y', 'a%0D%0Ax:%20y'],
  ['\u0000\u001f\u007f', '%00%1F%7F'],
  ['é', '%C3%A9'],
  ['😀', '%F0%9F%98%80'],
])('%j is written as %j', (value, written) => {
  expect(httpEnvelope({ ...bare, entityKey: value })['ce-entitykey']).toBe(written);
});

test.each([
  ['2026-11-20 10:00:00+00', '2026-11-20T10:00:00Z'],
  ['2026-11-20 10:00:00.5+00', '2026-11-20T10:00:00.5Z'],
  ['2026-01-01 00:00:00.000001+00', '2026-01-01T00:00:00.000001Z'],
])('the time %s is %s', (recordedAt, time) => {
  expect(httpEnvelope({ ...bare, recordedAt })['ce-time']).toBe(time);
});

const text = fc.string({ unit: 'binary', minLength: 1 });

test('any text survives: values are printable ASCII and decode to what they were', () => {
  fc.assert(
    fc.property(text, text, text, (tenantId, entityKey, own) => {
      const headers = httpEnvelope({ ...bare, tenantId, entityKey, headers: JSON.stringify({ own }) });
      for (const [name, value] of Object.entries(headers)) {
        expect(name).toMatch(/^[a-z0-9-]+$/);
        expect(value).toMatch(/^[\x21-\x7e]+$/);
      }
      expect(decodeURIComponent(headers['ce-tenant']!)).toBe(tenantId);
      expect(decodeURIComponent(headers['ce-entitykey']!)).toBe(entityKey);
      expect(decodeURIComponent(headers['ce-hown']!)).toBe(own);
    }),
  );
});

test("a producer's headers never meet each other, nor the envelope's", () => {
  const name = fc.stringMatching(/^[a-z0-9]{1,20}$/);
  const envelope = Object.keys(
    httpEnvelope({ ...bare, ecosystem: 'e', entityKey: 'k', correlationId: 'c', causationId: 'd' }),
  );
  fc.assert(
    fc.property(fc.dictionary(name, fc.constant('own'), { noNullPrototype: true }), (own) => {
      const headers = httpEnvelope({
        ...bare,
        ...{ ecosystem: 'e', entityKey: 'k', correlationId: 'c', causationId: 'd' },
        headers: JSON.stringify(own),
      });
      expect(Object.keys(headers)).toHaveLength(envelope.length + Object.keys(own).length);
      expect(Object.values(headers).filter((value) => value === 'own')).toHaveLength(Object.keys(own).length);
    }),
  );
});

test('the attributes are named as CloudEvents allows, each once', () => {
  const names = envelopeAttributes({
    ...bare,
    ecosystem: 'e',
    entityKey: 'k',
    correlationId: 'c',
    causationId: 'd',
  }).map(([name]) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
});
