import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outboxEvent } from '../file/sink-batch.suite.ts';
import { covers, decodeToken, encodeToken, SubjectTemplate } from './subject-template.ts';

/** What PostgreSQL stores as text: whole characters, no U+0000. */
const text = fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\u0000', ''));

test('a token that is encoded is a token, and is decoded as what it was', () => {
  fc.assert(
    fc.property(text, (value) => {
      const token = encodeToken(value);
      expect(token).toMatch(/^[A-Za-z0-9_%~-]+$/);
      expect(decodeToken(token)).toBe(value);
    }),
  );
});

test('two values never make one token', () => {
  fc.assert(
    fc.property(text, text, (one, other) => {
      expect(encodeToken(one) === encodeToken(other)).toBe(one === other);
    }),
  );
  expect([encodeToken('~'), encodeToken('~~'), encodeToken('')]).toEqual(['%7E', '%7E%7E', '~~']);
});

test.each([
  ['events.<tenant>.<type>', {}, 'events.acme.thing.done'],
  ['events.<ecosystem>.<tenant>.<type>', {}, 'events.~.acme.thing.done'],
  ['interactions.<tenant>', { tenantId: 'a.b > *' }, 'interactions.a%2Eb%20%3E%20%2A'],
  ['<ecosystem>.<key>', { ecosystem: 'ofb', entityKey: '' }, 'ofb.~~'],
  ['e.<type>', { eventType: '.a..b with space.' }, 'e.~~.a.~~.b%20with%20space.~~'],
  ['e.<type>', { eventType: 'größe' }, 'e.gr%C3%B6%C3%9Fe'],
])('%s of %j is %s', (template, event, subject) => {
  expect(new SubjectTemplate(template).of(outboxEvent(event))).toBe(subject);
});

test('every subject of a template is one that its wildcard takes in', () => {
  const token = fc.constantFrom('events', 'x-1', '<tenant>', '<ecosystem>', '<type>', '<key>');
  fc.assert(
    fc.property(fc.array(token, { minLength: 1, maxLength: 5 }), text, text, (tokens, one, other) => {
      const template = new SubjectTemplate(tokens.join('.'));
      const event = outboxEvent({ tenantId: one, eventType: other, entityKey: one, ecosystem: other });
      const subject = template.of(event);
      expect(subject.split('.').every((part) => part !== '')).toBe(true);
      expect(covers(template.wildcard, subject)).toBe(true);
    }),
  );
});

test.each(['', 'a..b', '.a', 'a.', 'a b', 'a.*', 'a.>', 'e.<tenants>', 'e.x<tenant>', 'é'])(
  '%j is no template',
  (template) => {
    expect(() => new SubjectTemplate(template)).toThrow(RangeError);
  },
);

test.each([
  ['events.>', 'events.a', true],
  ['events.>', 'events', false],
  ['>', 'a.b', true],
  ['events.*.>', 'events.>', false],
  ['events.*', 'events.*', true],
  ['events.*', 'events.>', false],
  ['events.a', 'events.*', false],
  ['events.*', 'events.a', true],
  ['events.*.*', 'events.a', false],
])('a stream that takes %s takes all of %s: %j', (wildcard, other, taken) => {
  expect(covers(wildcard, other)).toBe(taken);
});
