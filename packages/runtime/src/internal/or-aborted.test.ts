import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { aborted, orAborted } from './or-aborted.ts';

const noop = (): void => undefined;

test('the outcome, where the promise is faster', async () => {
  const { signal } = new AbortController();
  expect(await orAborted(Promise.resolve(7), signal)).toBe(7);
  await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
});

test('aborted, where the signal is', async () => {
  const controller = new AbortController();
  const waiting = orAborted(new Promise<void>(noop), controller.signal);
  controller.abort();
  expect(await waiting).toBe(aborted);
  expect(await orAborted(new Promise<void>(noop), controller.signal)).toBe(aborted);
});

test('a rejection after the abort concerns nobody', async () => {
  const controller = new AbortController();
  const late = Promise.withResolvers<void>();
  const waiting = orAborted(late.promise, controller.signal);
  controller.abort();
  expect(await waiting).toBe(aborted);
  // Unhandled, it would fail the run.
  late.reject(new Error('too late'));
});

test('outcomes are not kept alive by a signal that lives on', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { signal } = new AbortController();
  const taken = async (): Promise<WeakRef<object>> => {
    const outcome = await orAborted(Promise.resolve({ payload: 'x'.repeat(1_000) }), signal);
    return new WeakRef(outcome as object);
  };
  const references = await Promise.all(Array.from({ length: 20 }, taken));
  await sleep(0);
  collect();
  expect(references.filter((reference) => reference.deref() !== undefined)).toEqual([]);
  expect(signal.aborted).toBe(false);
});
