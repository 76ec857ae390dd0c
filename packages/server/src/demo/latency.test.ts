import { expect, test } from 'vitest';
import { bar, duration, histogram } from './histogram.ts';
import { latencies, percentile } from './latency.ts';
import type { ReceivedEvent } from './received-events.ts';

function arrival(eventId: string, arrivedAt: number): ReceivedEvent {
  return { eventId, arrivedAt, messageId: '', tenant: '', entityKey: '', eventType: '', sha256: '' };
}

test('a latency ends with the first copy; what was never committed has none', () => {
  const asked = new Map([
    ['a', 100],
    ['b', 100],
    ['never', 100],
  ]);
  const received = [arrival('b', 150), arrival('a', 107), arrival('b', 900), arrival('phantom', 1)];
  expect(latencies(asked, received)).toEqual([7, 50]);
});

test('percentiles are measured values, by nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, index) => index + 1);
  expect([0.5, 0.95, 0.99, 1].map((share) => percentile(values, share))).toEqual([50, 95, 99, 100]);
  expect(percentile([3], 0.5)).toBe(3);
  expect(percentile([], 0.5)).toBe(0);
});

test('the picture has a line for each range between the first and the last, and all values are counted', () => {
  expect(histogram([1, 1, 1, 1, 30, 70_000], 8)).toEqual([
    '  under 2 ms ████████ 4',
    '  under 5 ms 0',
    ' under 10 ms 0',
    ' under 20 ms 0',
    ' under 50 ms ██ 1',
    'under 100 ms 0',
    'under 200 ms 0',
    'under 500 ms 0',
    '   under 1 s 0',
    '   under 2 s 0',
    '   under 5 s 0',
    '  under 10 s 0',
    '  under 30 s 0',
    '  under 60 s 0',
    '   over 60 s ██ 1',
  ]);
  expect(histogram([], 8)).toEqual([]);
});

test('a bar shows eighths of a column, and never hides what is there', () => {
  expect([0, 0.001, 0.5, 1, 2.25].map(bar)).toEqual(['', '▏', '▌', '█', '██▎']);
});

test('durations read as people say them', () => {
  expect([0.04, 8.26, 250.4, 1_250, 61_000].map(duration)).toEqual([
    '0 ms',
    '8.3 ms',
    '250 ms',
    '1.25 s',
    '61 s',
  ]);
});
