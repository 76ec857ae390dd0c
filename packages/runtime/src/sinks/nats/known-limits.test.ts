import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import { KnownLimits } from './known-limits.ts';

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Limits of which the answers are given by the test. */
class Asked {
  readonly questions: string[] = [];
  answers: { server: () => Promise<number | undefined>; stream: () => Promise<number | undefined> } = {
    server: async () => 1_000,
    stream: async () => 500,
  };
  readonly limits = new KnownLimits(
    { server: 1_000, stream: 500 },
    { at: 0, sources: { server: this.#source('server'), stream: this.#source('stream') } },
  );

  #source(name: 'server' | 'stream'): () => Promise<number | undefined> {
    return async () => {
      this.questions.push(name);
      return await this.answers[name]();
    };
  }

  async ask(bytes: number, id = 'large'): Promise<string[]> {
    this.limits.ask(id, bytes);
    await nextTurn();
    return this.questions.splice(0);
  }
}

const both = { server: 1_000, stream: 500 };

test('a limit holds for a while, the server’s for longer; then it is asked for once a message is above it', async () => {
  const asked = new Asked();
  now = 999;
  expect(asked.limits.confirmedFor('another')).toEqual(both);
  expect(await asked.ask(2_000)).toEqual([]);
  now = 1_000;
  expect(asked.limits.confirmedFor('another')).toEqual({ server: 1_000, stream: undefined });
  expect(await asked.ask(500)).toEqual([]);
  expect(await asked.ask(501)).toEqual(['stream']);
  expect(asked.limits.confirmedFor('another')).toEqual(both);
  now = 30_000;
  expect(asked.limits.confirmedFor('another')).toEqual({ server: undefined, stream: undefined });
  expect(asked.limits.known).toEqual(both);
  expect(await asked.ask(1_001, 'next')).toEqual(['stream', 'server']);
  expect([asked.limits.confirmedFor('another'), asked.limits.outdated]).toEqual([both, false]);
});

test('for a message that waits, an answer that was asked for since holds for ever: it comes again when it may', async () => {
  const asked = new Asked();
  now = 2_000;
  expect(await asked.ask(600)).toEqual(['stream']);
  // It comes again later than the answer holds for others.
  now = 3_001;
  expect(asked.limits.confirmedFor('large')).toEqual(both);
  expect(asked.limits.confirmedFor('another').stream).toBeUndefined();
  now = 100_000;
  expect(asked.limits.confirmedFor('large').stream).toBe(500);
  expect(await asked.ask(600)).toEqual([]);
  asked.limits.release('large');
  expect(asked.limits.confirmedFor('large').stream).toBeUndefined();
});

test('an answer to a question from before it waits is none for it', async () => {
  const asked = new Asked();
  const answer = deferred<number>();
  asked.answers.stream = async () => await answer.promise;
  now = 2_000;
  expect(await asked.ask(600, 'first')).toEqual(['stream']);
  now = 10_000;
  expect(await asked.ask(600, 'second')).toEqual([]);
  answer.resolve(500);
  await nextTurn();
  expect(asked.limits.confirmedFor('first').stream).toBe(500);
  expect(asked.limits.confirmedFor('second').stream).toBeUndefined();
  expect(await asked.ask(600, 'second')).toEqual(['stream']);
  now = 60_000;
  expect(asked.limits.confirmedFor('second').stream).toBe(500);
});

test('one question at a time, and after one without an answer not at once another', async () => {
  const asked = new Asked();
  const answer = deferred<number>();
  asked.answers.stream = async () => await answer.promise;
  now = 2_000;
  expect(await asked.ask(600)).toEqual(['stream']);
  now = 10_000;
  expect(await asked.ask(600)).toEqual([]);
  answer.resolve(500);
  await nextTurn();
  // It is as old as the question.
  expect(asked.limits.confirmedFor('another').stream).toBeUndefined();
  asked.answers.stream = async () => await Promise.reject(new Error('nobody is there'));
  expect(await asked.ask(600, 'next')).toEqual(['stream']);
  expect(asked.limits.trouble?.message).toBe('nobody is there');
  now = 10_999;
  expect(await asked.ask(600, 'next')).toEqual([]);
  now = 11_000;
  asked.answers.stream = async () => 500;
  expect(await asked.ask(600, 'next')).toEqual(['stream']);
  expect([asked.limits.trouble, asked.limits.confirmedFor('another').stream]).toEqual([undefined, 500]);
});

test('a stream’s limit that has changed is known at once; for the server’s, another connection is needed', async () => {
  const asked = new Asked();
  asked.answers = { server: async () => 4_000, stream: async () => undefined };
  now = 30_000;
  expect(await asked.ask(1_001)).toEqual(['stream', 'server']);
  expect(asked.limits.known).toEqual({ server: 1_000, stream: undefined });
  expect([asked.limits.outdated, asked.limits.confirmedFor('another').server]).toEqual([true, undefined]);
});
