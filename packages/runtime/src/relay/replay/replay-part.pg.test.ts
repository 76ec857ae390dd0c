import { expect, inject, test } from 'vitest';
import type { CheckpointOwner } from '../../log/checkpoint.ts';
import { readServerLog } from '../../log/timeline.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { createReplay, getReplay } from './replay-jobs.ts';
import { nextReplayPart, saveReplayProgress } from './replay-part.ts';

test('what is written counts once: not for an old epoch, not twice from the same place, not on another timeline; trouble is no progress', async () => {
  await using fixture = await RelayFixture.create(inject('postgres')['18']);
  const relay = fixture.relay([new Consumer().source], { source: 'table', pollMs: 20 });
  await relay.start();
  await relay.stop();
  await fixture.emit();
  const { id } = await createReplay(fixture.pool, { relay: fixture.slot, sink: 'consumer', selection: {} });
  const [row] = await fixture.rows<{ epoch: string }>(
    'select epoch::text from event_runtime.relay_checkpoint',
  );
  const owner: CheckpointOwner = {
    ...(await readServerLog(fixture.pool)),
    ...{ relay: fixture.slot, shard: 0, epoch: BigInt(row?.epoch ?? 0) },
  };
  const part = (await nextReplayPart(fixture.pool, { sink: 'consumer', owner, shards: 1 }))!;
  const save = async (more: Partial<CheckpointOwner>, progress: object = {}): Promise<boolean> =>
    await saveReplayProgress(fixture.pool, {
      ...{ part, sink: 'consumer', owner: { ...owner, ...more } },
      progress: {
        ...{ afterSeq: 5n, before: 0n, delivered: 1, rejected: 0 },
        finished: false,
        trouble: null,
        ...progress,
      },
    });
  await expect(save({ epoch: owner.epoch - 1n })).rejects.toMatchObject({ code: 'ER1207' });
  await expect(save({ timeline: owner.timeline + 1 })).rejects.toMatchObject({ code: 'ER1210' });
  expect(await save({})).toBe(true);
  await expect(save({})).rejects.toMatchObject({ code: 'ER1207' });
  const seen = await getReplay(fixture.pool, { relay: fixture.slot, id });
  expect(seen).toMatchObject({ delivered: 1 });
  await save({}, { before: 5n, delivered: 0, trouble: 'Error' });
  const { updatedAt } = seen;
  expect(await getReplay(fixture.pool, { relay: fixture.slot, id })).toMatchObject({
    trouble: 'Error',
    updatedAt,
  });
});
