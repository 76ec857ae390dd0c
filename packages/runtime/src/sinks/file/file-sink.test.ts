import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { type FileHandle, mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FileSink } from './file-sink.ts';
import { readFileSink } from './read-file-sink.ts';
import { batchOf, outboxEvent, payloads } from './sink-batch.suite.ts';

const { signal } = new AbortController();
let directory: string;
let path: string;
/** Where the calls of every open file are defined, so that a test can make one fail. */
let calls: FileHandle;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'file-sink-'));
  path = join(directory, 'events.ndjson');
  await using any = await open(directory);
  calls = Object.getPrototypeOf(any) as FileHandle;
});

afterEach(async () => {
  vi.restoreAllMocks();
  await rm(directory, { recursive: true });
});

async function texts(): Promise<string[]> {
  const all: string[] = [];
  for await (const { data } of readFileSink(path)) all.push(data.toString());
  return all;
}

test('writes one line per event, in order, and goes on behind what is there', async () => {
  {
    await using sink = await FileSink.open({ name: 'log', path });
    expect([sink.name, sink.path, sink.tornBytes]).toEqual(['log', path, 0]);
    const delivered = { type: 'delivered' };
    expect(await sink.deliver(payloads('1', '{\n}', '3'), { signal })).toEqual([
      delivered,
      delivered,
      delivered,
    ]);
    expect(await sink.deliver(payloads(), { signal })).toEqual([]);
  }
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('4'), { signal });
  expect(await texts()).toEqual(['1', '{\n}', '3', '4']);
  expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(5);
});

test('a payload of 5 MB comes back byte for byte, also across the blocks of the reader', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  const large = JSON.stringify('é'.repeat(2_500_000));
  await sink.deliver(payloads('1.0', large, `${large}\n`, '1.00'), { signal });
  const read = await texts();
  expect(read.map((text) => text.length)).toEqual([3, large.length, large.length + 1, 4]);
  expect(read[1] === large && read[2] === `${large}\n`).toBe(true);
});

test('a new file is for its owner alone; the mode of an old one stays', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  expect((await stat(sink.path)).mode & 0o777).toBe(0o600);
  const other = join(directory, 'other');
  await writeFile(other, '', { mode: 0o640 });
  await using second = await FileSink.open({ name: 'log', path: other });
  expect((await stat(second.path)).mode & 0o777).toBe(0o640);
});

test('answers after fdatasync of all of it, and the name of the file is synced with its directory', async () => {
  const order: string[] = [];
  const note = (name: 'sync' | 'datasync'): void => {
    const real = calls[name] as () => Promise<unknown>;
    vi.spyOn(calls, name).mockImplementation(async function (this: FileHandle) {
      await real.apply(this);
      order.push((await this.stat()).isDirectory() ? `${name} directory` : name);
    });
  };
  note('sync');
  note('datasync');
  const { writeSync } = fs;
  vi.spyOn(fs, 'writeSync').mockImplementation((...args: unknown[]) => {
    order.push('write');
    return (writeSync as (...all: unknown[]) => number)(...args);
  });
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('1', '2', '3'), { signal });
  order.push('answer');
  expect(order).toEqual(['sync directory', 'write', 'datasync', 'answer']);
});

test.each([0, 1, 65_535, 65_536, 65_537, 200_000])(
  'a torn last line of %i bytes is cut off, and nothing else',
  async (length) => {
    await using first = await FileSink.open({ name: 'log', path });
    await first.deliver(payloads('1', '2'), { signal });
    const whole = await readFile(path);
    await writeFile(path, 'x'.repeat(length), { flag: 'a' });
    expect(await texts()).toEqual(['1', '2']);
    await using sink = await FileSink.open({ name: 'log', path });
    expect(sink.tornBytes).toBe(length);
    expect((await readFile(path)).equals(whole)).toBe(true);
    await sink.deliver(payloads('3'), { signal });
    expect(await texts()).toEqual(['1', '2', '3']);
  },
);

test('a file that is nothing but a torn line is emptied', async () => {
  await writeFile(path, '{"specversion":"1.0"');
  await using sink = await FileSink.open({ name: 'log', path });
  expect([sink.tornBytes, (await stat(path)).size]).toEqual([20, 0]);
});

function fault(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

type Write = (file: number, bytes: Buffer, offset: number, length?: number) => number;

/** Writes this many bytes of the next batch, and then fails. */
function failAfter(bytes: number, code: string): void {
  const real = fs.writeSync as Write;
  vi.spyOn(fs, 'writeSync').mockImplementationOnce(((file: number, batch: Buffer) => {
    real(file, batch, 0, bytes);
    throw fault(code);
  }) as never);
}

/** Makes cutting the file back fail, so many times. */
function failToTruncate(times: number): void {
  const failing = vi.spyOn(fs, 'ftruncateSync');
  for (let time = 0; time < times; time += 1) {
    failing.mockImplementationOnce(() => {
      throw fault('EIO');
    });
  }
}

test.each([0, 1, 250, 400])(
  'a write that fails after %i bytes leaves nothing of the batch',
  async (bytes) => {
    await using sink = await FileSink.open({ name: 'log', path });
    await sink.deliver(payloads('1'), { signal });
    const before = await readFile(path);
    failAfter(bytes, 'ENOSPC');
    await expect(sink.deliver(payloads('2', '3'), { signal })).rejects.toMatchObject({
      code: 'ER4011',
      retryable: true,
      cause: { code: 'ENOSPC' },
    });
    expect((await readFile(path)).equals(before)).toBe(true);
    await sink.deliver(payloads('2', '3'), { signal });
    expect(await texts()).toEqual(['1', '2', '3']);
  },
);

test('a batch whose fdatasync fails is not delivered, and not in the file', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('1'), { signal });
  vi.spyOn(calls, 'datasync').mockRejectedValueOnce(fault('EIO'));
  await expect(sink.deliver(payloads('2'), { signal })).rejects.toMatchObject({ code: 'ER4011' });
  expect(await texts()).toEqual(['1']);
});

test('where cutting back fails too, the next batch begins with it', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('1'), { signal });
  failAfter(150, 'EIO');
  // After the write, before the next one, and after that.
  failToTruncate(3);
  await expect(sink.deliver(payloads('2'), { signal })).rejects.toMatchObject({ code: 'ER4011' });
  const damaged = await readFile(path);
  await expect(sink.deliver(payloads('2'), { signal })).rejects.toMatchObject({ code: 'ER4011' });
  expect((await readFile(path)).equals(damaged)).toBe(true);
  await sink.deliver(payloads('2'), { signal });
  expect(await texts()).toEqual(['1', '2']);
});

test('without the lease nothing is written, and nothing is cut off: behind our lines may stand those of another', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  let held = true;
  const options = { signal, valid: () => held };
  await sink.deliver(payloads('1'), options);
  // Stopped while it looks how long the file is; continued when another has long gone on.
  vi.spyOn(calls, 'stat').mockImplementationOnce(async () => {
    held = false;
    return await stat(path);
  });
  await expect(sink.deliver(payloads('2'), options)).rejects.toMatchObject({ code: 'ER1207' });
  expect(await texts()).toEqual(['1']);
  held = true;
  vi.spyOn(calls, 'datasync').mockImplementationOnce(async () => {
    held = false;
    throw fault('EIO');
  });
  await expect(sink.deliver(payloads('3'), options)).rejects.toMatchObject({ code: 'ER4011' });
  expect(await texts()).toEqual(['1', '3']);
});

test('without the lease no torn line is cut off: it may be one that another is writing', async () => {
  await writeFile(path, '{"torn');
  await expect(FileSink.open({ name: 'log', path, valid: () => false })).rejects.toMatchObject({
    code: 'ER1207',
  });
  expect(await readFile(path, 'utf8')).toBe('{"torn');
});

test('a file that was truncated from outside meanwhile is not made longer again', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('1'), { signal });
  failAfter(10, 'EIO');
  failToTruncate(1);
  await expect(sink.deliver(payloads('2'), { signal })).rejects.toMatchObject({ code: 'ER4011' });
  await truncate(path, 0);
  failAfter(1_000, 'EIO');
  const large = JSON.stringify('x'.repeat(5_000));
  await expect(sink.deliver(payloads(large), { signal })).rejects.toMatchObject({ code: 'ER4011' });
  expect((await stat(path)).size).toBe(0);
  await sink.deliver(payloads('2'), { signal });
  expect(await texts()).toEqual(['2']);
});

test('short writes are continued', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  const real = fs.writeSync as Write;
  vi.spyOn(fs, 'writeSync').mockImplementation(((file: number, bytes: Buffer, from: number) =>
    real(file, bytes, from, Math.min(100, bytes.length - from))) as never);
  await sink.deliver(payloads('1', '2', '3'), { signal });
  expect(await texts()).toEqual(['1', '2', '3']);
});

test('an event that makes no line is rejected, and stops no other', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  const results = await sink.deliver(
    batchOf(outboxEvent(), outboxEvent({ headers: 'no json' }), outboxEvent({ payload: Buffer.from('3') })),
    { signal },
  );
  expect(results.map(({ type }) => type)).toEqual(['delivered', 'rejected', 'delivered']);
  expect(await texts()).toEqual(['{}', '3']);
});

test('disposing waits for the batch that is being written', async () => {
  const sink = await FileSink.open({ name: 'log', path });
  const delivering = sink.deliver(payloads('1', '2'), { signal });
  await sink[Symbol.asyncDispose]();
  expect(await delivering).toHaveLength(2);
  expect(await texts()).toEqual(['1', '2']);
  await sink[Symbol.asyncDispose]();
  await expect(sink.deliver(payloads('3'), { signal })).rejects.toThrow('disposed');
});

test('aborted before it begins, a batch is not written', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  const reason = new Error('stop');
  const aborted = AbortSignal.abort(reason);
  await expect(sink.deliver(payloads('1'), { signal: aborted })).rejects.toBe(reason);
  expect(await texts()).toEqual([]);
  await expect(FileSink.open({ name: 'log', path, signal: aborted })).rejects.toBe(reason);
});

test('what cannot be a file is refused', async () => {
  const fifo = join(directory, 'fifo');
  await promisify(execFile)('mkfifo', [fifo]);
  for (const wrong of [directory, join(directory, 'missing', 'file'), fifo, '/dev/full']) {
    await expect(FileSink.open({ name: 'log', path: wrong })).rejects.toMatchObject({ code: 'ER4011' });
  }
  const unplaced = join(directory, 'missing', 'file');
  await expect(FileSink.open({ name: 'log', path: unplaced })).rejects.toMatchObject({
    remedy: expect.stringContaining(`mkdir -p '${join(directory, 'missing')}'`),
  });
});

test('the reader names the line that no sink wrote, and does not quote it', async () => {
  await using sink = await FileSink.open({ name: 'log', path });
  await sink.deliver(payloads('1'), { signal });
  await writeFile(path, '{"secret":1}\n', { flag: 'a' });
  const error: unknown = await texts().catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: 'ER4012', message: expect.stringContaining(`${path}, line 2`) });
  expect((error as Error).message).not.toContain('secret');
  await expect(readFileSink(join(directory, 'none')).next()).rejects.toMatchObject({ code: 'ENOENT' });
  const stopped = readFileSink(path, { signal: AbortSignal.abort() });
  await expect(stopped.next()).rejects.toMatchObject({ name: 'AbortError' });
});
