import { expect, test } from 'vitest';
import { payloads } from '../file/sink-batch.suite.ts';
import { NullSink } from './null-sink.ts';

const { signal } = new AbortController();

test('takes and counts; what is aborted is not counted', async () => {
  await using sink = new NullSink({ name: 'nothing' });
  const delivered = { type: 'delivered' };
  expect(await sink.deliver(payloads('1', '2'), { signal })).toEqual([delivered, delivered]);
  expect(await sink.deliver(payloads(), { signal })).toEqual([]);
  expect(await sink.deliver(payloads('3'), { signal })).toEqual([delivered]);
  const reason = new Error('stop');
  await expect(sink.deliver(payloads('4'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect([sink.name, sink.delivered]).toEqual(['nothing', 3]);
});
