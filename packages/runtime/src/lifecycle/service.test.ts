import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { deferred } from '../internal/deferred.ts';
import { stressService } from '../testing/service-stress.ts';
import { type RunContext, Service, type ServiceState, serviceTransitions } from './service.ts';

class Probe extends Service {
  readonly log: string[] = [];
  readonly #work: (context: RunContext) => Promise<void>;
  constructor(work: (context: RunContext) => Promise<void>) {
    super('probe');
    this.#work = work;
  }
  protected override async run(context: RunContext): Promise<void> {
    this.log.push('run');
    await this.#work(context);
  }
}

const untilStopping = async (context: RunContext): Promise<void> => {
  context.ready();
  await new Promise<void>((resolve) => {
    if (context.stopping.aborted) resolve();
    context.stopping.addEventListener('abort', () => resolve(), { once: true });
  });
};

test('1: start() waits for ready()', async () => {
  const gate = deferred();
  const probe = new Probe(async (context) => {
    await gate.promise;
    await untilStopping(context);
  });
  let resolved = false;
  const started = probe.start().then(() => {
    resolved = true;
  });
  await sleep(5);
  expect(resolved).toBe(false);
  expect(probe.state).toBe('starting');
  gate.resolve();
  await started;
  expect(probe.state).toBe('running');
  await probe.stop();
});

test('1: start() rejects when run ends before it was ready', async () => {
  await expect(new Probe(async () => undefined).start()).rejects.toMatchObject({ name: 'AbortError' });
  const failing = new Probe(async () => {
    throw new Error('no database');
  });
  await expect(failing.start()).rejects.toThrow('no database');
  expect(failing.state).toBe('failed');
});

test('2: stop() is legal in every state, twice too, and waits for run to end', async () => {
  let ended = false;
  const probe = new Probe(async (context) => {
    await untilStopping(context);
    await sleep(20);
    ended = true;
  });
  await probe.start();
  await Promise.all([probe.stop(), probe.stop()]);
  expect(ended).toBe(true);
  await probe.stop();
  expect(probe.state).toBe('stopped');
});

test('3: a service stopped before its start never runs', async () => {
  const probe = new Probe(untilStopping);
  await probe.stop();
  await expect(probe.start()).rejects.toMatchObject({ code: 'ER9001' });
  expect(probe.log).toEqual([]);
  expect(probe.state).toBe('stopped');
});

test('4: aborted comes only after the grace period, and stop() says when even that did not help', async () => {
  const seen: string[] = [];
  const release = deferred();
  const probe = new Probe(async (context) => {
    context.stopping.addEventListener('abort', () => seen.push('stopping'));
    context.aborted.addEventListener('abort', () => seen.push('aborted'));
    context.ready();
    await release.promise;
  });
  await probe.start();
  await expect(probe.stop({ graceMs: 20, abortMs: 20 })).rejects.toMatchObject({ code: 'ER9002' });
  expect(seen).toEqual(['stopping', 'aborted']);
  release.resolve();
  await probe.stop();
  expect(probe.state).toBe('stopped');

  const quick = new Probe(untilStopping);
  await quick.start();
  await quick.stop({ graceMs: 1_000 });
  expect(quick.state).toBe('stopped');
});

test('5: the echo of our abort is a stop, an error of its own is a failure', async () => {
  const echo = new Probe(async (context) => {
    context.ready();
    await sleep(60_000, undefined, { signal: context.stopping });
  });
  await echo.start();
  await echo.stop();
  expect(echo.state).toBe('stopped');
  await expect(echo.finished).resolves.toBeUndefined();

  const broken = new Probe(async (context) => {
    await untilStopping(context);
    throw new Error('could not flush');
  });
  await broken.start();
  await broken.stop();
  expect(broken.state).toBe('failed');
  await expect(broken.finished).rejects.toThrow('could not flush');

  // An AbortError that nobody of ours caused is a failure.
  const foreign = new Probe(async (context) => {
    context.ready();
    throw new DOMException('somebody else', 'AbortError');
  });
  await foreign.start();
  await expect(foreign.finished).rejects.toThrow('somebody else');
  expect(foreign.state).toBe('failed');
});

test('6: finished settles exactly when run has ended', async () => {
  const gate = deferred();
  const probe = new Probe(async (context) => {
    context.ready();
    await gate.promise;
  });
  let settled = false;
  const finished = probe.finished.then(() => {
    settled = true;
  });
  await probe.start();
  await sleep(5);
  expect(settled).toBe(false);
  gate.resolve();
  await finished;
  expect(probe.state).toBe('stopped');
});

test('7: a second start() is refused and the first goes on', async () => {
  const probe = new Probe(untilStopping);
  await probe.start();
  await expect(probe.start()).rejects.toMatchObject({ code: 'ER9001' });
  expect(probe.state).toBe('running');
  expect(probe.log).toEqual(['run']);
  await probe.stop();
});

test('the table is total, and its final states have no way out', () => {
  const states: ServiceState[] = ['new', 'starting', 'running', 'stopping', 'stopped', 'failed'];
  expect(Object.keys(serviceTransitions).toSorted()).toEqual(states.toSorted());
  expect(states.filter((state) => serviceTransitions[state].length === 0)).toEqual(['stopped', 'failed']);
});

test('the stress test passes a right service and convicts wrong ones', async () => {
  let open = 0;
  await stressService(
    () =>
      new Probe(async (context) => {
        open += 1;
        await sleep(2);
        await untilStopping(context);
        await sleep(2);
        open -= 1;
      }),
    { leaked: () => (open === 0 ? undefined : `${open} open`) },
  );

  // A service that leaks.
  let leaking = 0;
  await expect(
    stressService(
      () =>
        new Probe(async (context) => {
          leaking += 1;
          await untilStopping(context);
        }),
      { leaked: () => (leaking === 0 ? undefined : `${leaking} open`) },
    ),
  ).rejects.toThrow('left behind');

  // A service that overrides stop() and comes back before it has ended.
  class Hasty extends Probe {
    override async stop(): Promise<void> {
      void super.stop();
    }
  }
  await expect(
    stressService(
      () =>
        new Hasty(async (context) => {
          await untilStopping(context);
          await sleep(5);
        }),
    ),
  ).rejects.toThrow(/seed \d+, life \d+/);
});
