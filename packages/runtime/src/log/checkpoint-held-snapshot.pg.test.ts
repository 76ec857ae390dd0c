import { describe, expect, inject, test } from 'vitest';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { type CheckpointOwner, claimCheckpoints, saveCheckpoint } from './checkpoint.ts';
import { LogFixture } from './log-fixture.suite.ts';
import { beginning } from './outbox-event.ts';
import { Snapshot } from './snapshot.ts';
import { readServerLog } from './timeline.ts';

/** An hour's, at one a second. */
const writes = 3_600;

/** Versions of a row that a page has room for, at least: what a reader goes through is this much smaller. */
const versionsOfPage = 40;

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  test('written for an hour while a snapshot is held elsewhere, a checkpoint is found by a page for every 40 writes; then as before', async () => {
    await using log = await LogFixture.create(inject('postgres')[major]);
    const owner: CheckpointOwner = {
      ...{ relay: 'relay', shard: 0, epoch: 1n },
      ...(await readServerLog(log.sql)),
    };
    await claimCheckpoints(log.sql, { sinks: ['one', 'two'], owner });
    const pages = async (): Promise<number> => {
      const { rows } = await log.sql.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
        `explain (analyze, buffers, costs off, timing off, format json)
         select snapshot from event_runtime.relay_checkpoint where relay = 'relay' and sink = 'one' and shard = 0`,
      );
      const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
      return (plan['Shared Hit Blocks'] ?? Number.NaN) + (plan['Shared Read Blocks'] ?? Number.NaN);
    };
    const keyBytes = async (): Promise<number> => {
      const { rows } = await log.sql.query<{ bytes: number }>(
        `select pg_relation_size('event_runtime.relay_checkpoint_pkey')::int as bytes`,
      );
      return rows[0]?.bytes ?? Number.NaN;
    };
    const before = { pages: await pages(), keyBytes: await keyBytes() };
    const holder = await log.connect();
    await holder.query('begin isolation level repeatable read');
    await holder.query('select 1');
    await log.sql.query('set synchronous_commit = off');
    let xid = 1_000;
    const write = async (): Promise<void> => {
      const snapshot = Snapshot.parse(`${(xid += 1)}:${xid}:`);
      const table = {
        mode: 'table',
        position: beginning,
        batch: null,
        floorSeq: 0n,
        adoption: null,
      } as const;
      await saveCheckpoint(log.sql, { sink: 'one', owner, checkpoint: { ...table, snapshot } });
    };
    for (let done = 0; done < writes; done += 1) await write();
    const held = { pages: await pages(), keyBytes: await keyBytes() };
    await holder.query('rollback');
    // The next writes clear away what nobody can see any more; a slot that another test makes may still see it for a while.
    await eventually(
      async () => {
        for (let done = 0; done < 20; done += 1) await write();
        return await pages();
      },
      (found) => found <= before.pages + 1,
    );
    const after = { pages: await pages(), keyBytes: await keyBytes() };
    console.log(JSON.stringify({ major, writes, before, held, after }));
    expect(held.pages).toBeLessThanOrEqual(before.pages + writes / versionsOfPage);
    // No entry of the index for each version, only for each page of them (HOT).
    expect(held.keyBytes).toBe(before.keyBytes);
    expect(after.pages).toBeLessThanOrEqual(before.pages + 1);
  });
});
