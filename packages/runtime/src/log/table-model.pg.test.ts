import assert from 'node:assert/strict';
import fc from 'fast-check';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { LogFixture, signal } from './log-fixture.suite.ts';
import type { Snapshot } from './snapshot.ts';

const writers = 3;

type Step =
  | { readonly op: 'emit'; readonly writer: number; readonly shared: boolean; readonly count: number }
  | { readonly op: 'savepoint' | 'rollback to' | 'commit' | 'rollback'; readonly writer: number }
  | { readonly op: 'tick' }
  | {
      readonly op: 'read';
      readonly maxEvents: number;
      readonly pageEvents: number;
      readonly pages: number;
    };

const writer = fc.nat(writers - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('emit'),
      writer,
      shared: fc.boolean(),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('savepoint', 'rollback to'), writer }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('commit'), writer }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('rollback'), writer }) },
  { weight: 3, arbitrary: fc.constant({ op: 'tick' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('read'),
      maxEvents: fc.integer({ min: 1, max: 12 }),
      pageEvents: fc.integer({ min: 1, max: 5 }),
      // Given up after so many pages, to be gone on with from the last one.
      pages: fc.integer({ min: 1, max: 4 }),
    }),
  },
) as fc.Arbitrary<Step>;

interface Writer {
  readonly client: pg.Client;
  /** Names that a commit would add, by entity; undefined: no transaction. */
  pending: { readonly name: string; readonly entity: string }[] | undefined;
  /** How many were pending at the savepoint. */
  saved: number | undefined;
}

/** Writers whose transactions overlap, one reader that goes on from its checkpoint, and the books. */
class Play {
  readonly #log: LogFixture;
  readonly #writers: Writer[];
  readonly #committed = new Map<string, string[]>();
  readonly #delivered: { readonly name: string; readonly entity: string }[] = [];
  #state: { snapshot: Snapshot; batch: { to: Snapshot; afterSeq: bigint } | null };
  #holder: Writer | undefined;
  #names = 0;

  private constructor(log: LogFixture, clients: readonly pg.Client[], from: Snapshot) {
    this.#log = log;
    this.#writers = clients.map((client) => ({ client, pending: undefined, saved: undefined }));
    this.#state = { snapshot: from, batch: null };
  }

  static async run(
    log: LogFixture,
    clients: readonly pg.Client[],
    steps: readonly Step[],
  ): Promise<'everything once'> {
    await log.empty();
    const play = new Play(log, clients, await log.now());
    try {
      for (const each of steps) await play.#take(each);
      for (const each of play.#writers) await play.#end(each, 'commit');
      while ((await play.#unread()) > 0) await play.#read({ maxEvents: 5, pageEvents: 3, pages: 2 });
      play.#check();
      return 'everything once';
    } finally {
      for (const { client } of play.#writers) await client.query('rollback');
    }
  }

  async #take(each: Step): Promise<void> {
    switch (each.op) {
      case 'emit':
        return await this.#emit(each);
      case 'savepoint': {
        const by = this.#at(each.writer);
        if (by.pending === undefined) return;
        await by.client.query('savepoint s');
        by.saved = by.pending.length;
        return;
      }
      case 'rollback to': {
        const by = this.#at(each.writer);
        if (by.saved === undefined || by.pending === undefined) return;
        await by.client.query('rollback to s');
        by.pending = by.pending.slice(0, by.saved);
        return;
      }
      case 'commit':
      case 'rollback':
        return await this.#end(this.#at(each.writer), each.op);
      case 'tick':
        await this.#log.tick();
        return;
      case 'read':
        return await this.#read(each);
    }
  }

  /** The shared entity is one writer's at a time, as its lock would have it. */
  async #emit({ writer: index, shared, count }: Step & { op: 'emit' }): Promise<void> {
    const by = this.#at(index);
    if (by.pending === undefined) {
      await by.client.query('begin');
      by.pending = [];
    }
    const free = this.#holder === undefined || this.#holder === by;
    const entity = shared && free ? 'shared' : `own ${index}`;
    if (entity === 'shared') this.#holder = by;
    for (let place = 0; place < count; place += 1) {
      const name = `${(this.#names += 1)}`;
      await this.#log.emit(name, { client: by.client, key: entity });
      by.pending.push({ name, entity });
    }
  }

  async #end(by: Writer, how: 'commit' | 'rollback'): Promise<void> {
    if (by.pending === undefined) return;
    await by.client.query(how);
    if (how === 'commit') {
      for (const { name, entity } of by.pending) {
        this.#committed.set(entity, [...(this.#committed.get(entity) ?? []), name]);
      }
    }
    if (this.#holder === by) this.#holder = undefined;
    by.pending = undefined;
    by.saved = undefined;
  }

  async #read(how: { maxEvents: number; pageEvents: number; pages: number }): Promise<void> {
    await this.#unread();
    const reader = this.#log.reader({ pageEvents: how.pageEvents });
    const from = this.#state.snapshot;
    const to =
      this.#state.batch?.to ?? (await reader.batchEnd(from, { maxEvents: how.maxEvents, signal })).snapshot;
    assert.ok(to.covers(from));
    let left = how.pages;
    const batch = { from, to, afterSeq: this.#state.batch?.afterSeq ?? 0n, floorSeq: 0n };
    for await (const { events, lastSeq } of reader.read(batch, { signal })) {
      for (const { event } of events) {
        this.#delivered.push({ name: event.eventType, entity: event.entityKey ?? '' });
      }
      this.#state = { snapshot: from, batch: { to, afterSeq: lastSeq } };
      left -= 1;
      if (left === 0) return;
    }
    this.#state = { snapshot: to, batch: null };
  }

  /** What the reader says is unread is what the books say. */
  async #unread(): Promise<number> {
    const state = { ...this.#state, floorSeq: 0n, adoption: null };
    const names = new Set(this.#delivered.map(({ name }) => name));
    const expected = [...this.#committed.values()].flat().filter((name) => !names.has(name));
    const reader = this.#log.reader();
    assert.equal(await reader.countUnread(state, { signal }), expected.length);
    const { rows } = await this.#log.sql.query<{ seq: string | null }>(
      'select min(seq)::text as seq from event_runtime.outbox where event_type = any($1)',
      [expected],
    );
    const oldest = await reader.oldestUnread(state, { signal });
    assert.equal(oldest?.seq.toString() ?? null, rows[0]?.seq);
    return expected.length;
  }

  /** Nothing lost, nothing twice, nothing that was rolled back; each entity in the order of its commits. */
  #check(): void {
    const byEntity = new Map<string, string[]>();
    for (const { name, entity } of this.#delivered)
      byEntity.set(entity, [...(byEntity.get(entity) ?? []), name]);
    assert.deepEqual(byEntity, this.#committed);
  }

  #at(index: number): Writer {
    return this.#writers[index] as Writer;
  }
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let log: LogFixture;
  let clients: pg.Client[];
  beforeAll(async () => {
    log = await LogFixture.create(inject('postgres')[major]);
    clients = await Promise.all(Array.from({ length: writers }, () => log.connect()));
  });
  afterAll(() => log[Symbol.asyncDispose]());

  test('whatever overlaps, and wherever reading stops and goes on: everything once, in order', {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 60 }), async (steps) => {
        expect(await Play.run(log, clients, steps)).toBe('everything once');
      }),
      { numRuns: Number(process.env['EVENT_RUNTIME_RUNS'] ?? 8) },
    );
  });
});
