import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { memoryFolder } from './memory-folder.ts';

let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'event-runtime-memory-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

test('a new and empty folder that anybody may use', () => {
  const [one, other] = [memoryFolder(parent, 0) ?? '', memoryFolder(parent, 0) ?? ''];
  expect(one).not.toBe(other);
  expect(readdirSync(one)).toEqual([]);
  expect(statSync(one).mode & 0o7777).toBe(0o1777);
});

test('none where there is too little room, and nothing is left there', () => {
  expect(memoryFolder(parent, Number.MAX_SAFE_INTEGER)).toBeUndefined();
  expect(readdirSync(parent)).toEqual([]);
});

test('none where there is no such place', () => {
  const missing = join(parent, 'missing');
  expect(memoryFolder(missing, 0)).toBeUndefined();
  expect(existsSync(missing)).toBe(false);
});

test('none where the place is a file', () => {
  const file = join(parent, 'file');
  writeFileSync(file, '');
  chmodSync(file, 0o600);
  expect(memoryFolder(file, 0)).toBeUndefined();
});
