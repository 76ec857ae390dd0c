import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeRecording } from '../../packages/runtime/src/testing/pgoutput-recording.ts';
import { DecoderFuzz, kinds } from './decoder-fuzz.ts';

const recordings = ['postgres-15', 'postgres-15-binary', 'postgres-18', 'postgres-18-binary'].map(
  (name) =>
    decodeRecording(
      readFileSync(
        new URL(`../../packages/runtime/src/replication/pgoutput/fixtures/${name}.bin`, import.meta.url),
      ),
    ).frames,
);

describe('fuzzing the decoder', () => {
  test('damaged frames end in a message or a coded error, and every kind is reached', () => {
    // A new seed each run, in the name of what fails.
    const seed = Math.floor(Math.random() * 1e9);
    const result = new DecoderFuzz(recordings, seed).run(20_000);
    expect({ seed, failures: result.failures }).toEqual({ seed, failures: [] });
  });

  test('the same seed gives the same frames', () => {
    const counts = [1, 1, 2].map((seed) => {
      const { reach, codes, columns } = new DecoderFuzz(recordings, seed).run(5_000);
      return JSON.stringify({ reach, codes, columns });
    });
    expect(counts[0]).toBe(counts[1]);
    expect(counts[0]).not.toBe(counts[2]);
  });

  test('a run that does not reach a kind fails', () => {
    const withoutOrigins = recordings.map((frames) => frames.filter((frame) => frame[25] !== 0x4f));
    const few = new DecoderFuzz(
      withoutOrigins.map((frames) => frames.slice(0, 2)),
      1,
    ).run(200);
    expect(few.failures.some((failure) => failure.startsWith('kind'))).toBe(true);
    expect(Object.keys(few.reach)).toEqual([...kinds, 'keepalive', 'other']);
  });
});
