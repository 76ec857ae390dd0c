import { setImmediate as nextTurn } from 'node:timers/promises';
import { createLogger, type Logger, type RunContext, Service, Supervisor } from '@event-runtime/runtime';
import { expect, test } from 'vitest';
import { runUntil } from './run-until.ts';

class Part extends Service {
  readonly #work: (context: RunContext) => Promise<void>;
  constructor(work: (context: RunContext) => Promise<void>) {
    super('part');
    this.#work = work;
  }
  protected override async run(context: RunContext): Promise<void> {
    await this.#work(context);
  }
}

const until = async (signal: AbortSignal): Promise<void> => {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
};

const good = async (context: RunContext): Promise<void> => {
  context.ready();
  await until(context.stopping);
};

function setUp(work: (context: RunContext) => Promise<void>): {
  readonly supervisor: Supervisor;
  readonly part: Part;
  readonly events: string[];
  readonly logger: Logger;
} {
  const events: string[] = [];
  const write = (line: string): void => void events.push((JSON.parse(line) as { event: string }).event);
  const part = new Part(work);
  return {
    part,
    supervisor: new Supervisor([part]),
    events,
    logger: createLogger({ destination: { write } }),
  };
}

test('runs until the signal, then stops', async () => {
  const { supervisor, part, events, logger } = setUp(good);
  const stop = new AbortController();
  await runUntil(supervisor, { signal: stop.signal, logger, onReady: async () => stop.abort() });
  expect(events).toEqual(['service.started', 'process.stopping', 'service.stopped']);
  expect(part.state).toBe('stopped');
});

test('a signal before the start: nothing is started', async () => {
  const { supervisor, part, logger } = setUp(good);
  await runUntil(supervisor, { signal: AbortSignal.abort(), logger });
  expect([supervisor.state, part.state]).toEqual(['stopped', 'new']);
});

test('a signal while it starts ends it, without a failure', async () => {
  const stop = new AbortController();
  const { supervisor, part, events, logger } = setUp(async (context) => {
    queueMicrotask(() => stop.abort());
    await until(context.stopping);
  });
  await runUntil(supervisor, { signal: stop.signal, logger });
  expect(events).toEqual(['process.stopping', 'service.stopped']);
  expect(part.state).toBe('stopped');
});

test.each([
  ['before it is ready', async () => await Promise.reject(new Error('broken'))],
  [
    'while it runs',
    async (context: RunContext) => {
      context.ready();
      await nextTurn();
      throw new Error('broken');
    },
  ],
])('fails as the part does: %s', async (_when, work) => {
  const { supervisor, events, logger } = setUp(work);
  const { signal } = new AbortController();
  await expect(runUntil(supervisor, { signal, logger })).rejects.toThrow('broken');
  expect(events.at(-1)).toBe('service.failed');
});

test('what onReady throws stops everything and is thrown', async () => {
  const { supervisor, part, logger } = setUp(good);
  const { signal } = new AbortController();
  const onReady = async (): Promise<void> => {
    throw new Error('no banner');
  };
  await expect(runUntil(supervisor, { signal, logger, onReady })).rejects.toThrow('no banner');
  expect(part.state).toBe('stopped');
});

test('a part that does not stop in time is told as ER9002, and not waited for', async () => {
  const never = Promise.withResolvers<void>();
  const { supervisor, events, logger } = setUp(async (context) => {
    context.ready();
    await never.promise;
  });
  const stop = new AbortController();
  const running = runUntil(supervisor, {
    signal: stop.signal,
    logger,
    graceMs: 1,
    onReady: async () => stop.abort(),
  });
  await expect(running).rejects.toMatchObject({ code: 'ER9002' });
  expect(events.at(-1)).toBe('service.failed');
  never.resolve();
});
