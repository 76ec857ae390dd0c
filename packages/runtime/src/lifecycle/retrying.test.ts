import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runtimeError } from '../errors/codes.ts';
import { backoffDelay } from './backoff.ts';
import { retrying } from './retrying.ts';
import { type RunContext, Service } from './service.ts';
import { Supervisor } from './supervisor.ts';

test('a delay lies between half of its step and the whole of it, and never above the maximum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.float({ min: 0, max: 1, noNaN: true }),
      (attempt, draw) => {
        const delay = backoffDelay(attempt, { baseMs: 100, maxMs: 15_000, random: () => draw });
        const step = Math.min(15_000, 100 * 2 ** Math.min(attempt - 1, 30));
        expect(delay).toBeGreaterThanOrEqual(Math.floor(step / 2));
        expect(delay).toBeLessThanOrEqual(step);
      },
    ),
  );
});

test('work is repeated after a failure, with growing attempts, until it returns', async () => {
  const attempts: number[] = [];
  let calls = 0;
  await retrying(
    async () => {
      calls += 1;
      if (calls < 4) throw new Error('not yet');
    },
    { signal: new AbortController().signal, baseMs: 1, onRetry: ({ attempt }) => attempts.push(attempt) },
  );
  expect(attempts).toEqual([1, 2, 3]);
});

test('a coded error that no repetition mends ends it at once', async () => {
  let calls = 0;
  const work = retrying(
    async () => {
      calls += 1;
      throw runtimeError('ER1002');
    },
    { signal: new AbortController().signal, baseMs: 1, onRetry: () => undefined },
  );
  await expect(work).rejects.toMatchObject({ code: 'ER1002' });
  expect(calls).toBe(1);
});

test('the signal ends a wait', async () => {
  const controller = new AbortController();
  const work = retrying(
    async () => {
      throw new Error('always');
    },
    { signal: controller.signal, baseMs: 60_000, maxMs: 60_000, onRetry: () => controller.abort() },
  );
  await expect(work).resolves.toBeUndefined();
});

class Part extends Service {
  readonly #log: string[];
  readonly #end: Promise<void> | undefined;
  constructor(name: string, log: string[], end?: Promise<void>) {
    super(name);
    this.#log = log;
    this.#end = end;
  }
  protected override async run(context: RunContext): Promise<void> {
    this.#log.push(`+${this.name}`);
    context.ready();
    const stopping = new Promise<void>((resolve) => {
      context.stopping.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race(this.#end === undefined ? [stopping] : [stopping, this.#end]);
    this.#log.push(`-${this.name}`);
  }
}

test('a supervisor starts in order and stops in reverse', async () => {
  const log: string[] = [];
  const supervisor = new Supervisor([new Part('a', log), new Part('b', log), new Part('c', log)]);
  await supervisor.start();
  await supervisor.stop();
  expect(log).toEqual(['+a', '+b', '+c', '-c', '-b', '-a']);
});

test('when one part fails the others are stopped and the supervisor fails with its error', async () => {
  const log: string[] = [];
  const fate = Promise.withResolvers<void>();
  const supervisor = new Supervisor([new Part('a', log), new Part('b', log, fate.promise)]);
  await supervisor.start();
  fate.reject(new Error('b broke'));
  await expect(supervisor.finished).rejects.toThrow('b broke');
  expect(log).toEqual(['+a', '+b', '-a']);
});
