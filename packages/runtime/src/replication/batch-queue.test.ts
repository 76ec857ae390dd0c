import { expect, test } from 'vitest';
import { BatchQueue } from './batch-queue.ts';

test('batches come out as they went in, whoever is first', async () => {
  const queue = new BatchQueue<number>(100, () => undefined);
  queue.push(1, 10);
  queue.push(2, 10);
  expect([await queue.next(), await queue.next()].map((one) => one.value)).toEqual([1, 2]);
  const waiting = queue.next();
  queue.push(3, 10);
  expect(await waiting).toEqual({ done: false, value: 3 });
  expect(queue.bytes).toBe(0);
});

test('it is full at its limit and has room again at half of it, which it says', async () => {
  let room = 0;
  const queue = new BatchQueue<number>(100, () => {
    room += 1;
  });
  for (let batch = 0; batch < 4; batch += 1) {
    expect(queue.full).toBe(false);
    queue.push(batch, 30);
  }
  expect(queue.full).toBe(true);
  await queue.next();
  await queue.next();
  expect(room).toBe(0);
  await queue.next();
  expect(room).toBe(1);
});

test('the end comes at once and drops what was not taken; the first end counts', async () => {
  const done = new BatchQueue<number>(100, () => undefined);
  done.push(1, 10);
  done.finish();
  done.fail(new Error('too late'));
  done.push(2, 10);
  expect(await done.next()).toEqual({ done: true, value: undefined });
  expect(done.bytes).toBe(0);

  const failed = new BatchQueue<number>(100, () => undefined);
  failed.push(1, 10);
  failed.fail(new Error('cause'));
  failed.finish();
  await expect(failed.next()).rejects.toThrow('cause');
  await expect(failed.next()).rejects.toThrow('cause');
});

test('an end reaches the one who waits', async () => {
  const done = new BatchQueue<number>(100, () => undefined);
  const waiting = done.next();
  done.finish();
  expect((await waiting).done).toBe(true);
  const failed = new BatchQueue<number>(100, () => undefined);
  const other = failed.next();
  failed.fail(new Error('cause'));
  await expect(other).rejects.toThrow('cause');
});

test('a second reader is refused', async () => {
  const queue = new BatchQueue<number>(100, () => undefined);
  const first = queue.next();
  await expect(queue.next()).rejects.toThrow(TypeError);
  queue.push(1, 1);
  expect((await first).value).toBe(1);
});
