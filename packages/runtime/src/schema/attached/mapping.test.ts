import { expect, test } from 'vitest';
import { mappingProblems, parseMapping } from './mapping.ts';
import { presetMapping } from './presets.ts';

const enough = ['event_type=kind', 'payload=data', 'tenant=:acme'];
const problems = (...pairs: string[]): string[] => mappingProblems(parseMapping([...enough, ...pairs]));

test('a column, several, a constant; names are taken as they are', () => {
  expect(parseMapping(['entity_key=aggregate type+id', 'tenant=:acme=1', 'payload=a"b\'; drop'])).toEqual({
    entity_key: { columns: ['aggregate type', 'id'] },
    tenant: { constant: 'acme=1' },
    payload: { columns: ['a"b\'; drop'] },
  });
});

test.each([
  [['kind'], 'kind: it is not of the form field=column'],
  [['payload='], 'payload=: it is not of the form'],
  [['payload=a', 'payload=b'], 'payload is mapped twice'],
])('%j is refused: %s', (pairs, message) => {
  expect(() => parseMapping(pairs)).toThrow(expect.objectContaining({ code: 'ER1402' }));
  expect(() => parseMapping(pairs)).toThrow(message);
});

test('what is required is asked for', () => {
  expect(problems()).toEqual([]);
  expect(mappingProblems({})).toEqual([
    'event_type is not mapped: give it a column, or a constant as event_type=:value',
    'payload is not mapped',
    'tenant is not mapped: give it a column, or a constant as tenant=:value',
  ]);
});

test.each([
  ['seq=id', /^seq is no field: there are event_type, payload/],
  ['__proto__=id', /^__proto__ is no field/],
  ['constructor=id', /^constructor is no field/],
  ['header.Name=id', /^header\.Name is no field/],
  ["header.a'b=id", /^header\.a'b is no field/],
  ['event_id=a+b', /^event_id takes one column/],
  ['entity_key=a+', /^entity_key has a column without a name/],
  ['event_id=:1', /^event_id takes a column, and no constant/],
  ['ecosystem=:', /^ecosystem needs a constant of 1 to 200/],
  [`ecosystem=:${'x'.repeat(101)}`, /^ecosystem needs a constant of 1 to 100/],
  ['event_version=:0', /^event_version needs a whole number/],
  ['source_service=:a\nb', /^source_service has a control character/],
])('%j is refused', (pair, message) => {
  expect(problems(pair)).toEqual([expect.stringMatching(message)]);
});

test('headers are one column or several, not both', () => {
  expect(problems('headers=h')).toEqual([]);
  expect(problems('header.region=r', 'header.zone=:south')).toEqual([]);
  expect(problems('headers=h', 'header.region=r')).toEqual([expect.stringContaining('together')]);
});

test('a preset leaves out what the table has no column for, and gives way to what is mapped', () => {
  const columns = new Set(['id', 'type', 'aggregatetype', 'aggregateid', 'payload']);
  const plain = presetMapping('debezium', { columns, over: {} });
  expect(plain).not.toHaveProperty('traceparent');
  expect(mappingProblems(plain)).toEqual([expect.stringMatching(/^tenant is not mapped/)]);
  const traced = presetMapping('debezium', {
    columns: new Set([...columns, 'tracingspancontext']),
    over: { tenant: { constant: 'acme' }, event_type: { columns: ['aggregatetype'] } },
  });
  expect(traced).toMatchObject({
    traceparent: { columns: ['tracingspancontext'] },
    event_type: { columns: ['aggregatetype'] },
    tenant: { constant: 'acme' },
  });
});
