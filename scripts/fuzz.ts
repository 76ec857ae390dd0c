// Damages recorded pgoutput frames and decodes them: npm run fuzz -- --frames 1000000 --seed 1 --json
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decodeRecording } from '../packages/runtime/src/testing/pgoutput-recording.ts';
import { DecoderFuzz } from './fuzz/decoder-fuzz.ts';

const fixtures = new URL('../packages/runtime/src/replication/pgoutput/fixtures/', import.meta.url);

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    json: { type: 'boolean', default: false },
  },
});
const frames = Number(values.frames);
const seed = Number(values.seed);
if (!Number.isSafeInteger(frames) || frames < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write('--frames and --seed are whole numbers\n');
  process.exit(2);
}

const recordings = readdirSync(fixtures)
  .filter((file) => file.endsWith('.bin'))
  .toSorted()
  .map((file) => decodeRecording(readFileSync(new URL(file, fixtures))).frames);
const started = performance.now();
const result = new DecoderFuzz(recordings, seed).run(frames);
const seconds = (performance.now() - started) / 1_000;

if (values.json) {
  process.stdout.write(`${JSON.stringify({ seed, seconds, ...result })}\n`);
} else {
  process.stdout.write(
    `${frames} frames in ${seconds.toFixed(1)} s, seed ${seed}\n\nkind       decoded   refused\n`,
  );
  for (const [kind, { decoded, refused }] of Object.entries(result.reach)) {
    process.stdout.write(`${kind.padEnd(10)}${String(decoded).padStart(8)}${String(refused).padStart(10)}\n`);
  }
  process.stdout.write(
    `\ncodes: ${JSON.stringify(result.codes)}\ncolumns: ${JSON.stringify(result.columns)}\n`,
  );
  process.stdout.write(
    `slowest frame ${result.slowestMs.toFixed(1)} ms, memory grew by ${result.grownBytes} bytes\n`,
  );
}
for (const failure of result.failures) process.stderr.write(`FAILED ${failure}\n`);
process.exitCode = result.failures.length === 0 ? 0 : 1;
