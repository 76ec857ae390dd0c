import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { deferred } from '../../internal/deferred.ts';
import { Emitter } from '../../schema/emitter.suite.ts';
import { ensurePartitions } from '../../schema/partitioner.ts';
import { ago, leaf, RetentionFixture } from './retention-fixture.suite.ts';
import type { Archive, ExpiredPartition } from './retention-options.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  async function aged(): Promise<RetentionFixture> {
    const fixture = await RetentionFixture.create(inject('postgres')[major]);
    onTestFinished(() => fixture[Symbol.asyncDispose]());
    return fixture;
  }

  test('it is given every event of a partition in order, byte for byte, page by page, before the drop', async () => {
    const fixture = await aged();
    const payload = ' { "a": 1.0, "a": 9007199254740993, "s": "\\u0000 é😀" }\n';
    await fixture.emit(60, { count: 2_500 });
    await fixture.rows(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       values (gen_random_uuid(), 'acme', 'exact', $1::json, $2)`,
      [payload, ago(60)],
    );
    // Larger than a page is allowed to be.
    await fixture.rows(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, payload, recorded_at)
       select gen_random_uuid(), 'acme', 'large', to_json(repeat('x', 3000000)), $1 from generate_series(1, 4)`,
      [ago(60)],
    );
    await fixture.emit(40);
    const offered: ExpiredPartition[] = [];
    const seqs: bigint[] = [];
    let exact = '';
    const client = await fixture.connect();
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    let pages = 0;
    client.query = ((...args: unknown[]) => {
      if (typeof args[0] === 'object' && 'rowMode' in (args[0] as object)) pages += 1;
      return query(...args);
    }) as typeof client.query;
    await fixture.round({
      client,
      async archive(partition, events) {
        offered.push(partition);
        let [count, pagesAtFirst] = [0, 0];
        for await (const { event } of events) {
          if (count === 0) pagesAtFirst = pages;
          count += 1;
          if (partition.name === leaf(60)) seqs.push(event.seq);
          if (event.eventType === 'exact') exact = event.payload.toString('utf8');
        }
        // Not all at once, and not ahead of who reads.
        if (partition.name === leaf(60)) expect(pages - pagesAtFirst).toBeGreaterThan(4);
        expect(count).toBe(partition.events);
        expect(await fixture.rows(`select from event_runtime.${partition.name} limit 1`)).toHaveLength(1);
      },
    });
    expect(offered).toMatchObject([
      { table: 'outbox', name: leaf(60), events: 2_505 },
      { table: 'outbox', name: leaf(40), events: 1 },
    ]);
    expect(offered[0]?.from).toEqual(new Date(ago(60).getTime() - 43_200_000));
    expect(seqs).toEqual(seqs.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(new Set(seqs).size).toBe(2_505);
    expect(exact).toBe(payload);
    expect(await fixture.ages()).toEqual({});
    expect(fixture.said('retention.archived')).toHaveLength(2);
  });

  test('when it throws, the partition and all after it stay, also past the maximum; the next round asks again', async () => {
    const fixture = await aged();
    for (const days of [100, 60]) await fixture.emit(days);
    const asked: string[] = [];
    let works = false;
    const archive: Archive = async ({ name }) => {
      asked.push(name);
      if (!works) throw new Error('the bucket is full');
    };
    expect(await fixture.round({ archive })).toBe(true);
    expect(asked).toEqual([leaf(100)]);
    expect(await fixture.ages()).toEqual({ 100: 1, 60: 1 });
    expect(fixture.logs.filter(({ level }) => level === 'warn')).toMatchObject([
      {
        event: 'retention.archive.failed',
        fields: { partition: leaf(100), error: { message: 'the bucket is full' } },
      },
    ]);
    works = true;
    await fixture.round({ archive });
    expect(asked).toEqual([leaf(100), leaf(100), leaf(60)]);
    expect(await fixture.ages()).toEqual({});
  });

  test('what a sink has yet to read is not archived', async () => {
    const fixture = await aged();
    await fixture.emit(60);
    await fixture.sink('sink', { read: false });
    await fixture.round({
      archive: async () => {
        throw new Error('too early');
      },
    });
    expect(fixture.said('retention.archive.failed')).toEqual([]);
    expect(fixture.said('retention.kept')).toMatchObject([{ reason: 'unread' }]);
  });

  test('while it is slow, emits and partition upkeep go on; a row that comes meanwhile is not lost', async () => {
    const fixture = await aged();
    await fixture.emit(60, { count: 3 });
    const [begun, goOn] = [deferred(), deferred()];
    let offered = 0;
    const archive: Archive = async ({ events }) => {
      offered = events;
      begun.resolve();
      await goOn.promise;
    };
    const round = fixture.round({ archive });
    await begun.promise;
    const emitter = await Emitter.start(fixture.database);
    await ensurePartitions(await fixture.connect());
    await emitter.more(20);
    await emitter.stop();
    expect(emitter.failures).toEqual([]);
    await fixture.emit(60);
    goOn.resolve();
    await round;
    // The copy has three.
    expect(offered).toBe(3);
    expect(await fixture.ages()).toMatchObject({ 60: 4 });
    expect(fixture.said('retention.kept')).toEqual([{ partition: leaf(60), reason: 'changed' }]);
    await fixture.round({ archive });
    expect(offered).toBe(4);
    expect(await fixture.ages()).not.toHaveProperty('60');
  });

  test('cut off in the middle, the partition stays and is offered again', async () => {
    const fixture = await aged();
    await fixture.emit(60, { count: 2_000 });
    const cut = new AbortController();
    await fixture.round({
      signal: cut.signal,
      async archive(_partition, events, { signal }) {
        expect(signal).toBe(cut.signal);
        for await (const { event } of events) if (event.tenantId !== '') cut.abort();
      },
    });
    expect(await fixture.ages()).toEqual({ 60: 2_000 });
    let count = 0;
    await fixture.round({
      async archive(_partition, events) {
        for await (const { event } of events) count += Number(event.eventType === 'old');
      },
    });
    expect(count).toBe(2_000);
    expect(await fixture.ages()).toEqual({});
  });
});
