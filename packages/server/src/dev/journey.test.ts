import type { AttemptObservation, LoggedEvent } from '@event-runtime/runtime';
import { createColors } from 'picocolors';
import { expect, test } from 'vitest';
import { Journeys, journeyLine } from './journey.ts';

const terminal = { colors: createColors(false) };

function attempt(changes: Partial<AttemptObservation> = {}): AttemptObservation {
  return {
    type: 'delivered',
    tenantId: 'acme',
    endpointId: 'endpoint',
    origin: 'http://127.0.0.1:1',
    eventId: 'event-1',
    eventType: 'order.placed',
    entityKey: 'order-1',
    seq: 1n,
    attempt: 1,
    status: 200,
    errorCode: null,
    retryInMs: null,
    recordedAt: null,
    claimedAt: 1_004,
    sentAt: 1_005.04,
    answeredAt: 1_015.26,
    ...changes,
  };
}

const logged = {
  event: { eventId: 'event-1' },
  committedAt: 1_000,
  capturedAt: 1_003,
} as unknown as LoggedEvent;

test('the phases add up to the whole way', () => {
  const journeys = new Journeys();
  journeys.captured(logged);
  const journey = journeys.attempted(attempt());
  expect(journey).toMatchObject({ captureMs: 3, queueMs: 2, deliverMs: 10.2, totalMs: 15.3 });
  expect(journeyLine(journey, terminal)).toMatch(
    /✓ order\.placed +event-1 {2}acme {2}key=order-1 {2}200 {2}15\.3 ms \(commit → capture 3, → send 2, → answer 10\.2\)/,
  );
});

test('an event that is tried again keeps its beginning; a finished one is forgotten', () => {
  const journeys = new Journeys();
  journeys.captured(logged);
  const failed = journeys.attempted(attempt({ type: 'retrying', status: 503, retryInMs: 4_100 }));
  expect(journeyLine(failed, terminal)).toMatch(/✗ .* 503 {2}attempt 1, again in 4\.1 s/);
  expect(journeys.attempted(attempt({ attempt: 2 })).totalMs).toBe(15.3);
  expect(journeys.attempted(attempt({ attempt: 3 })).totalMs).toBeNull();
});

test('an event that was not captured by this process still has its delivery', () => {
  const line = journeyLine(
    new Journeys().attempted(attempt({ type: 'dead', status: null, errorCode: 'ER4006' })),
    terminal,
  );
  expect(line).toMatch(/✗ .* ER4006 {2}dead letter after 1 attempts/);
});

test('nothing that an emitter names can steer the terminal or look like another line', () => {
  const hostile = attempt({ tenantId: 'a\u001b[2Jb', entityKey: 'x\n  ✓ forged', eventType: 't\u202e' });
  const line = journeyLine(new Journeys().attempted(hostile), terminal);
  expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(line).toContain('a\\u001b[2Jb');
  expect(line).toContain('x\\u000a  ✓ forged');
});
