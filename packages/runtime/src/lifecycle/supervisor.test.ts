import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { stressService } from '../testing/service-stress.ts';
import { type RunContext, Service } from './service.ts';
import { Supervisor } from './supervisor.ts';

interface Conduct {
  /** Becomes ready when this resolves. Default: at once. */
  readonly ready?: Promise<void>;
  /** Ends by itself then. */
  readonly end?: Promise<void>;
  /** Ends at `aborted` only. */
  readonly stubborn?: boolean;
}

class Part extends Service {
  readonly #conduct: Conduct;
  constructor(name: string, conduct: Conduct = {}) {
    super(name);
    this.#conduct = conduct;
  }
  protected override async run(context: RunContext): Promise<void> {
    const { ready, end, stubborn } = this.#conduct;
    const ending = deferred();
    const signal = stubborn === true ? context.aborted : context.stopping;
    signal.addEventListener('abort', () => ending.resolve(), { once: true });
    if (signal.aborted) ending.resolve();
    end?.then(
      () => ending.resolve(),
      (error: unknown) => ending.reject(error),
    );
    const early = await Promise.race([ready, ending.promise.then(() => 'ended')]);
    if (early === 'ended') return;
    context.ready();
    await ending.promise;
  }
}

test('stopped while a part is not ready yet: it ends at once', async () => {
  const parts = [new Part('a'), new Part('waits for ever', { ready: deferred().promise }), new Part('c')];
  const supervisor = new Supervisor(parts);
  const started = supervisor.start();
  while (parts[1]?.state !== 'starting') await Promise.resolve();
  // Within the grace period: with nothing aborted.
  await supervisor.stop({ graceMs: 60_000 });
  await expect(started).rejects.toMatchObject({ name: 'AbortError' });
  expect(parts.map((part) => part.state)).toEqual(['stopped', 'stopped', 'new']);
});

test('a part fails while a later one is not ready yet: the supervisor fails with its error', async () => {
  const fate = deferred();
  const parts = [new Part('a', { end: fate.promise }), new Part('b', { ready: deferred().promise })];
  const supervisor = new Supervisor(parts);
  const started = supervisor.start();
  while (parts[1]?.state !== 'starting') await Promise.resolve();
  fate.reject(new Error('a broke'));
  await expect(started).rejects.toThrow('a broke');
  await expect(supervisor.finished).rejects.toThrow('a broke');
  expect(parts.map((part) => part.state)).toEqual(['failed', 'stopped']);
});

test('aborted: all parts are let go of at once, not one grace period after another', async () => {
  const parts = ['a', 'b', 'c'].map((name) => new Part(name, { stubborn: true }));
  const supervisor = new Supervisor(parts, { graceMs: 60_000 });
  await supervisor.start();
  await supervisor.stop({ graceMs: 1 });
  expect(parts.map((part) => part.state)).toEqual(['stopped', 'stopped', 'stopped']);
});

test('it is a service as any other', async () => {
  const passed = stressService(() => new Supervisor([new Part('a'), new Part('b', { ready: sleep(3) })]));
  await expect(passed).resolves.toBeUndefined();
});
