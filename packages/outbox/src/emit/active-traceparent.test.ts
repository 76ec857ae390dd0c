import { context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { afterEach, expect, test } from 'vitest';
import { activeTraceparent, isTraceparent } from './active-traceparent.ts';

const spanContext = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: 1,
};

afterEach(() => context.disable());

test('without OpenTelemetry there is none', () => {
  expect(activeTraceparent()).toBeNull();
});

test('the active span of the real API, across await, and none outside of it', async () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  expect(activeTraceparent()).toBeNull();
  const inside = await context.with(trace.setSpanContext(ROOT_CONTEXT, spanContext), async () => {
    await Promise.resolve();
    return activeTraceparent();
  });
  expect(inside).toBe('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  expect(activeTraceparent()).toBeNull();
});

test('an unsampled span is still the cause', () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const text = context.with(trace.setSpanContext(ROOT_CONTEXT, { ...spanContext, traceFlags: 0 }), () =>
    activeTraceparent(),
  );
  expect(text).toMatch(/-00$/);
});

test('an invalid span context, or an API of an unknown shape, reads as none', () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const invalid = { ...spanContext, traceId: '0'.repeat(32) };
  expect(context.with(trace.setSpanContext(ROOT_CONTEXT, invalid), () => activeTraceparent())).toBeNull();
  const key = Symbol.for('opentelemetry.js.api.1');
  const registered = Reflect.get(globalThis, key);
  try {
    for (const strange of [{ context: {} }, { context: { active: () => null } }, 'text', null]) {
      Reflect.set(globalThis, key, strange);
      expect(activeTraceparent()).toBeNull();
    }
  } finally {
    Reflect.set(globalThis, key, registered);
  }
});

test.each([
  ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', true],
  ['00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01', false],
  ['00-00000000000000000000000000000000-b7ad6b7169203331-01', false],
  ['00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', false],
  ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n', false],
  ['', false],
])('%j is a traceparent: %s', (text, answer) => {
  expect(isTraceparent(text)).toBe(answer);
});
