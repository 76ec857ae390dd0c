import { expect, test } from 'vitest';
import { benchCall } from './bench-arguments.ts';
import type { Bench, BenchReport } from './report.ts';

const run = async (): Promise<BenchReport> => await Promise.reject(new Error('nobody asked for it'));
const relay: Bench = { name: 'relay', about: 'x', ids: ['R1-1', 'R4', 'R4-hot'], run };
const emit: Bench = { name: 'emit', about: 'x', run };

test.each<[string, Record<string, unknown>, boolean]>([
  ['relay', {}, false],
  ['relay --json --runs 2 --events 1000', { runs: 2, events: 1_000 }, true],
  ['relay --only R4,R1', { only: ['R4', 'R1'] }, false],
])('%s: what is asked for', (args, request, json) => {
  expect(benchCall(args.split(' '), [relay, emit])).toEqual({ bench: relay, request, json });
});

test.each<[string, string]>([
  ['', 'which one?'],
  ['relais', "there is no benchmark 'relais'"],
  ['relay emit', "there is no benchmark 'relay emit'"],
  ['relay --runs 0', "--runs is '0': give a whole number from 1 on"],
  ['relay --events 1e', "--events is '1e': give a whole number from 1 on"],
  ['relay --only R4,R7', "no figure of relay begins with 'R7': R1-1, R4, R4-hot"],
  ['relay --only R4,', "no figure of relay begins with '': R1-1, R4, R4-hot"],
  ['emit --only E1', 'emit has no --only'],
  ['relay --evnts 5', "Unknown option '--evnts'"],
])("'%s': refused, and why", (args, why) => {
  const said = benchCall(args === '' ? [] : args.split(' '), [relay, emit]);
  expect(said).toBeTypeOf('string');
  expect(said).toContain(why);
});
