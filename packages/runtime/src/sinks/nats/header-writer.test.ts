import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeaderWriter } from './header-writer.ts';

test('a block is a version, a line for each header, and an empty line', () => {
  const writer = new HeaderWriter();
  writer.begin();
  writer.line('Nats-Msg-Id', '1');
  writer.attribute('type', 'a.b');
  expect(writer.end().toString()).toBe('NATS/1.0\r\nNats-Msg-Id: 1\r\nce-type: a.b\r\n\r\n');
});

test.each([
  [' ', '%20'],
  ['"%', '%22%25'],
  ['a\r\nx: y', 'a%0D%0Ax:%20y'],
  ['\u0000\u001f\u007f', '%00%1F%7F'],
  ['é😀', '%C3%A9%F0%9F%98%80'],
  ['', ''],
])('no value ends its line: %j is written as %j', (value, written) => {
  const writer = new HeaderWriter();
  writer.begin();
  writer.line('x', value);
  expect(writer.end().toString()).toBe(`NATS/1.0\r\nx: ${written}\r\n\r\n`);
});

test('of any values, as many and as long as they are: each block has its own, and keeps them', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20_000 });
  fc.assert(
    fc.property(fc.array(fc.array(text, { maxLength: 5 }), { maxLength: 20 }), (blocks) => {
      const writer = new HeaderWriter();
      const written = blocks.map((values) => {
        writer.begin();
        for (const value of values) writer.line('v', value);
        return writer.end();
      });
      const read = written.map((block) => {
        const lines = block.toString('latin1').split('\r\n');
        expect(lines[0]).toBe('NATS/1.0');
        expect(lines.slice(-2)).toEqual(['', '']);
        return lines.slice(1, -2).map((line) => decodeURIComponent(line.slice('v: '.length)));
      });
      expect(read).toEqual(blocks.map((values) => values.map((value) => value.toWellFormed())));
    }),
    { numRuns: 50 },
  );
});
