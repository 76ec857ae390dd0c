import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../testing/migrated-database.ts';
import {
  adoptCluster,
  applyRewind,
  type Checkpoint,
  type CheckpointOwner,
  claimCheckpoints,
  saveCheckpoint,
} from './checkpoint.ts';
import { Snapshot } from './snapshot.ts';
import { readServerLog } from './timeline.ts';

const delivered: Checkpoint = {
  mode: 'live',
  position: { lsn: 1n as Checkpoint['position']['lsn'], ordinal: 0 },
  snapshot: Snapshot.parse('900:900:'),
  batch: null,
  floorSeq: 0n,
  adoption: null,
};

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  /** As the service. */
  let client: pg.Client;
  let admin: pg.Client;
  let owner: CheckpointOwner;

  beforeEach(async () => {
    database = await createMigratedDatabase(inject('postgres')[major], fewDays);
    client = new pg.Client({
      connectionString: database.url,
      options: '-c role=event_runtime_service',
    });
    await client.connect();
    admin = await database.connect();
    owner = { relay: 'relay', shard: 0, epoch: 5n, ...(await readServerLog(client)) };
  });
  afterEach(async () => {
    await client.end();
    await database[Symbol.asyncDispose]();
  });

  async function stored(): Promise<Record<string, unknown> | undefined> {
    const { rows } = await client.query<Record<string, unknown>>(
      `select mode, snapshot::text, epoch::int, timeline, floor_seq::int, adopting_snapshot::text,
              adopting_since::text, system_identifier from event_runtime.relay_checkpoint where sink = 'sink'`,
    );
    return rows[0];
  }

  test('on the timeline of another server nothing is written: ER1210', async () => {
    await claimCheckpoints(client, { sinks: ['sink'], owner });
    const before = await stored();
    // What a replica knows that read from the old primary, while its pool has come to the promoted server.
    const stale = { ...owner, timeline: owner.timeline - 1 };
    const saving = saveCheckpoint(client, { sink: 'sink', owner: stale, checkpoint: delivered });
    await expect(saving).rejects.toMatchObject({ code: 'ER1210', retryable: true });
    expect(await stored()).toEqual(before);
    await saveCheckpoint(client, { sink: 'sink', owner, checkpoint: delivered });
    expect(await stored()).toMatchObject({ mode: 'live', snapshot: '900:900:' });
  });

  test('a lower epoch is turned away: ER1207', async () => {
    await claimCheckpoints(client, { sinks: ['sink'], owner: { ...owner, epoch: 6n } });
    const saving = saveCheckpoint(client, { sink: 'sink', owner, checkpoint: delivered });
    await expect(saving).rejects.toMatchObject({ code: 'ER1207' });
    await expect(claimCheckpoints(client, { sinks: ['sink'], owner })).rejects.toMatchObject({
      code: 'ER1207',
    });
  });

  test('a later session of the same lease turns an earlier one away, its rewind too: ER1207; one without a claim is known by its epoch', async () => {
    const [earlier, later] = [randomUUID(), randomUUID()].map((claim) => ({ ...owner, claim }));
    await claimCheckpoints(client, { sinks: ['sink'], owner: earlier as CheckpointOwner });
    await saveCheckpoint(client, { sink: 'sink', owner: earlier as CheckpointOwner, checkpoint: delivered });
    await claimCheckpoints(client, { sinks: ['sink'], owner: later as CheckpointOwner });
    await admin.query(
      "update event_runtime.relay_checkpoint set rewind_snapshot = '500:500:', rewind_cluster = system_identifier",
    );
    const saving = saveCheckpoint(client, {
      sink: 'sink',
      owner: earlier as CheckpointOwner,
      checkpoint: delivered,
    });
    await expect(saving).rejects.toMatchObject({ code: 'ER1207' });
    expect(await applyRewind(client, { sink: 'sink', owner: earlier as CheckpointOwner })).toBeUndefined();
    expect(await stored()).toMatchObject({ mode: 'live', snapshot: '900:900:' });
    expect(await applyRewind(client, { sink: 'sink', owner: later as CheckpointOwner })).toMatchObject({
      mode: 'table',
    });
    await saveCheckpoint(client, { sink: 'sink', owner, checkpoint: delivered });
    expect(await stored()).toMatchObject({ mode: 'live' });
  });

  test('who claims is told on which timeline, and when, the checkpoint was written', async () => {
    const first = await claimCheckpoints(client, { sinks: ['sink'], owner });
    expect(first.get('sink')).toMatchObject({ timeline: owner.timeline });
    // As a standby has it when it was promoted.
    const next = { ...owner, timeline: owner.timeline + 1 };
    const second = await claimCheckpoints(client, { sinks: ['sink'], owner: next });
    expect(second.get('sink')).toMatchObject({
      timeline: owner.timeline,
      updatedAt: first.get('sink')?.updatedAt,
    });
    expect(await stored()).toMatchObject({ timeline: owner.timeline + 1 });
  });

  test('another cluster: all relays are adopted, once; sequences that were not restored turn nobody away', async () => {
    const high = { ...owner, epoch: 1_000n };
    await claimCheckpoints(client, { sinks: ['sink'], owner: high });
    await saveCheckpoint(client, { sink: 'sink', owner: high, checkpoint: delivered });
    await claimCheckpoints(client, { sinks: ['other'], owner: { ...high, relay: 'second' } });
    for (let at = 0; at < 3; at += 1) {
      await admin.query("select event_id from event_runtime.emit('t', '{}', 'acme', 'e')");
    }
    // A dump restored: another cluster, its sequences at their beginning.
    await admin.query(`update event_runtime.relay_cluster set system_identifier = 'before';
      update event_runtime.relay_checkpoint set system_identifier = 'before';
      select setval('event_runtime.outbox_seq_seq', 1, false)`);
    expect(await adoptCluster(client, owner)).toBe(3n);
    expect(await stored()).toMatchObject({
      mode: 'table',
      snapshot: '3:3:',
      floor_seq: 3,
      adopting_snapshot: '900:900:',
      system_identifier: owner.systemIdentifier,
    });
    expect(await adoptCluster(client, owner)).toBeNull();
    expect(await adoptCluster(client, { ...owner, relay: 'second' })).toBeNull();
    await claimCheckpoints(client, { sinks: ['sink'], owner });
    await claimCheckpoints(client, { sinks: ['other'], owner: { ...owner, relay: 'second' } });
    const { rows } = await admin.query<{ next: number }>(
      "select nextval('event_runtime.outbox_seq_seq')::int as next",
    );
    expect(rows[0]?.next).toBe(4);
  });

  test('a sink that is new in the other cluster begins before what came with the dump', async () => {
    await admin.query("select event_id from event_runtime.emit('t', '{}', 'acme', 'e')");
    await admin.query("update event_runtime.relay_cluster set system_identifier = 'before'");
    expect(await adoptCluster(client, owner)).toBe(1n);
    const claimed = await claimCheckpoints(client, { sinks: ['sink'], owner });
    const { checkpoint } = claimed.get('sink')!;
    expect(checkpoint).toMatchObject({ floorSeq: 1n, adoption: { since: '-infinity', afterSeq: 0n } });
    expect(checkpoint.adoption?.snapshot.sees(1_000n)).toBe(false);
  });
});
