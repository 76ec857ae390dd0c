import { appendFileSync, closeSync, mkdtempSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Arrival } from '../verdict/verdict.ts';
import { ArrivalLogReader, arrivalLine, openArrivalLog } from './arrival-log.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'event-runtime-arrivals-'));
  path = join(folder, 'arrivals.ndjson');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const arrival = (eventId: string): Arrival => ({
  eventId,
  tenant: 'ação',
  entityKey: 'k',
  sha256: 'h',
  at: 1.5,
});
const ids = (arrivals: readonly Arrival[]): string[] => arrivals.map(({ eventId }) => eventId);

test('what is appended is read once, in order, and a line only when it is complete', () => {
  using reader = new ArrivalLogReader(path);
  expect(reader.read()).toEqual([]);
  const line = arrivalLine(arrival('c'));
  appendFileSync(path, arrivalLine(arrival('a')) + arrivalLine(arrival('b')) + line.slice(0, 20));
  expect(ids(reader.read())).toEqual(['a', 'b']);
  expect(reader.read()).toEqual([]);
  appendFileSync(path, line.slice(20));
  expect(reader.read()).toEqual([arrival('c')]);
  expect(ids(reader.arrivals)).toEqual(['a', 'b', 'c']);
});

test('a half-written line is cut off when the log is opened again, and the reader goes on behind it', () => {
  using reader = new ArrivalLogReader(path);
  appendFileSync(path, arrivalLine(arrival('a')) + arrivalLine(arrival('lost')).slice(0, 30));
  expect(ids(reader.read())).toEqual(['a']);
  const file = openArrivalLog(path);
  writeSync(file, arrivalLine(arrival('b')));
  closeSync(file);
  expect(readFileSync(path, 'utf8')).toBe(arrivalLine(arrival('a')) + arrivalLine(arrival('b')));
  expect(ids(reader.read())).toEqual(['b']);
});

test('a log with nothing but a half-written line becomes empty', () => {
  appendFileSync(path, 'x'.repeat(200_000));
  closeSync(openArrivalLog(path));
  expect(readFileSync(path, 'utf8')).toBe('');
});

test('many lines, longer together than what is read at once', () => {
  appendFileSync(
    path,
    Array.from({ length: 5_000 }, (_, index) => arrivalLine(arrival(`e${index}`))).join(''),
  );
  using reader = new ArrivalLogReader(path);
  expect(reader.read()).toHaveLength(5_000);
  expect(reader.arrivals[4_999]?.eventId).toBe('e4999');
});
