import { expect, test } from 'vitest';
import { NullSink } from '../sinks/null/null-sink.ts';
import { Relay } from './relay.ts';

const relayOf = (...names: string[]): Relay =>
  new Relay({
    connectionString: 'postgres://localhost/nowhere',
    sinks: names.map((name) => ({ name, create: () => new NullSink({ name }) })),
  });

test.each([['*'], ['@a'], ['#webhooks'], [''], ['x'.repeat(201)]])('%j is no name of a sink', (name) => {
  expect(() => relayOf(name)).toThrow(RangeError);
});

test('two sinks of one name are refused; any other names are taken', () => {
  expect(() => relayOf('a', 'b', 'a')).toThrow('two sinks named "a"');
  expect(relayOf('a', 'a*@#', 'ação\nline', 'x'.repeat(200)).state).toBe('new');
});
