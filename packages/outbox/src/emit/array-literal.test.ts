import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrayLiteral } from './array-literal.ts';

test.each([
  ['plain text', ['a', ''], '{"a",""}'],
  ['the word NULL', ['NULL'], '{"NULL"}'],
  ['quote and backslash', ['a"b\\c'], '{"a\\"b\\\\c"}'],
  ['a JSON escape stays one', ['{"a":"\\n\\u0000"}'], '{"{\\"a\\":\\"\\\\n\\\\u0000\\"}"}'],
  ['control characters stay raw', ['a\n\t"\u007f'], '{"a\n\t\\"\u007f"}'],
  ['astral characters and line separators', ['😀"\u2028é'], '{"😀\\"\u2028é"}'],
])('%s', (_, values, literal) => {
  expect(arrayLiteral(values)).toBe(literal);
});

test('only the quote and the backslash are escaped, whatever else is in the text', () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom('"', '\\', '\n', '\u0001'), fc.string({ unit: 'binary', maxLength: 2 })),
  });
  fc.assert(
    fc.property(text, (value) => {
      expect(arrayLiteral([value])).toBe(`{"${value.replaceAll(/["\\]/g, '\\$&')}"}`);
    }),
    { numRuns: 500 },
  );
});
