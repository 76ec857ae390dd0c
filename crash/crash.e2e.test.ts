import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '@event-runtime/runtime';
import { EmbeddedPostgres, type EmbeddedPostgresOptions } from '@event-runtime/runtime/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { findService } from '../scripts/services/services.ts';
import { mutants } from './mutants/all.ts';
import type { Mutant } from './mutants/mutant.ts';
import { natsResendsOutOfOrder } from './mutants/nats.ts';
import { replaySavesEarly } from './mutants/replay-saves-early.ts';
import { retryReorders } from './mutants/retry-reorders.ts';
import { xminGateOff } from './mutants/table-reader.ts';
import { patchedCopy, patchedTexts } from './patch/patched-copy.ts';
import { packages } from './processes/cluster.ts';
import { terminalReport } from './report/terminal.ts';
import { type RunCrashOptions, runCrash } from './run-crash.ts';

const root = join(import.meta.dirname, '..');
const natsServer = await findService('nats-server');

type Copied = NonNullable<EmbeddedPostgresOptions['copyOf']>;

/** Clusters with the schema, by major version: what takes long at the beginning of a run is done once. */
const clusters = new Map<string, Promise<Copied>>();
const folder = mkdtempSync(join(tmpdir(), 'event-runtime-crash-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function migrated(postgres: keyof typeof packages): Promise<Copied> {
  const known = clusters.get(postgres) ?? makeCluster(postgres);
  clusters.set(postgres, known);
  return await known;
}

async function makeCluster(postgres: keyof typeof packages): Promise<Copied> {
  await using server = await EmbeddedPostgres.start({ package: packages[postgres] });
  await migrate({ connectionString: server.url });
  return await server.stopped(join(folder, postgres));
}

/** The full run is a command; this is so small a version that it fits in a test run. */
const small: Omit<RunCrashOptions, 'signal'> = {
  root,
  kills: 4,
  hits: 0,
  freezes: 0,
  seed: 4,
  events: 300,
  rate: 150,
  postgres: '18',
  sources: 'wal',
  nats: 0,
  afterDeadLetter: 'continue',
  operated: true,
  mutant: undefined,
  stallMs: 30_000,
  quietMs: 30_000,
};

/** What shows a mutant in so small a run: one kill, where it says that it must be. */
function few(mutant: Mutant): Partial<RunCrashOptions> {
  const { failpoints, operated = false } = mutant;
  const hits = failpoints === undefined ? 0 : 1;
  return { mutant, kills: 1, events: 200, quietMs: 4_000, hits, failpoints, operated };
}

// Two at a time: a run waits more than it works.
test.concurrent.each([
  {
    postgres: '18',
    sources: 'wal',
    freezes: 1,
    kills: 6,
    failpoints: ['relay.checkpoint.before', 'seam.join', 'rewind.applied'],
  },
  {
    postgres: '15',
    sources: 'table',
    freezes: 0,
    kills: 5,
    failpoints: ['table.page', 'webhooks.settled', 'replay.handed'],
  },
] as const)(
  'killed again and again, at failpoints too, it loses, invents, reorders and alters nothing: $postgres, from the $sources',
  { timeout: 920_000 },
  async (part) => {
    const copyOf = await migrated(part.postgres);
    const signal = AbortSignal.timeout(900_000);
    const result = await runCrash({ ...small, ...part, hits: 1, copyOf, signal });
    expect(result.differences).toEqual([]);
    expect(result.kills).toBeGreaterThanOrEqual(part.kills);
    expect(result.freezes).toBe(part.freezes);
    expect(
      result.failpoints.filter(({ inFlight }) => inFlight > 0).map(({ failpoint }) => failpoint),
    ).toEqual(part.failpoints);
    expect(result.events).toBeGreaterThan(200);
    expect(result.replayed).toBeGreaterThan(0);
    expect(result.outcome).toBe('clean');
  },
);

test
  .skipIf(natsServer === undefined)
  .concurrent(
    'killed with the server of its NATS sink and while letters are redriven, it loses, invents, reorders and alters nothing, and the stream has no event twice [needs nats-server]',
    { timeout: 920_000 },
    async () => {
      const part = { nats: 1, kills: 9, seed: 6, hits: 1, failpoints: ['redrive.taken'] } as const;
      const result = await runCrash({ ...small, ...part, signal: AbortSignal.timeout(900_000) });
      expect(result.differences).toEqual([]);
      expect(result).toMatchObject({ outcome: 'clean', twice: 0 });
      expect(result.killsOf.nats).toBeGreaterThanOrEqual(2);
      expect(result.redriven).toBeGreaterThan(0);
      expect(terminalReport(result)).toContain('0 twice in the stream of 1 servers');
    },
  );

test
  .skipIf(natsServer === undefined)
  .concurrent.each([
    { mutant: natsResendsOutOfOrder, found: 'reordered', said: 'came first after' },
  ] as const)(
  'the mutant $mutant.name is convicted of what is $found [needs nats-server]',
  { timeout: 920_000 },
  async ({ mutant, found, said }) => {
    const copyOf = await migrated(small.postgres);
    const some = { ...few(mutant), nats: 1, copyOf, signal: AbortSignal.timeout(900_000) } as const;
    const result = await runCrash({ ...small, ...some });
    expect(result[found]).toBeGreaterThan(0);
    expect(terminalReport(result)).toContain(said);
    expect(result.outcome).toBe('convicted');
  },
);

describe('a mutant', () => {
  test.concurrent.each([
    { mutant: retryReorders, postgres: '18', found: 'reordered', said: '(webhooks)' },
    { mutant: xminGateOff, postgres: '15', found: 'lost', said: 'never came' },
    { mutant: replaySavesEarly, postgres: '15', found: 'lost', said: '(file, replay ' },
  ] as const)(
    '$mutant.name is convicted of what is $found: $postgres, from the $mutant.sources',
    { timeout: 920_000 },
    async ({ mutant, postgres, found, said }) => {
      const { sources } = mutant;
      const signal = AbortSignal.timeout(900_000);
      const copyOf = await migrated(postgres);
      const result = await runCrash({ ...small, ...few(mutant), postgres, sources, copyOf, signal });
      expect(result[found]).toBeGreaterThan(0);
      expect(result.outcome).toBe('convicted');
      expect(terminalReport(result)).toContain(`mutant ${mutant.name}: convicted`);
      expect(terminalReport(result)).toContain(said);
    },
  );
});

test.each(mutants)('the mutant $name applies to what is built', async ({ patches }) => {
  expect((await patchedTexts(root, patches)).size).toBe(new Set(patches.map(({ file }) => file)).size);
});

test('the failpoints are found', async () => {
  await using copy = await patchedCopy({ root });
  expect(copy.failpoints).toContain('webhooks.fan-out.before');
});

test('a run that fails says so in its object, with exit 3', () => {
  const args = ['--json', '--failpoints', 'relay.tock', '--hits', '1'];
  const { status, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], {
    encoding: 'utf8',
  });
  expect(JSON.parse(stdout)).toEqual({
    outcome: 'failed',
    message: expect.stringContaining('there is no failpoint relay.tock') as string,
  });
  expect(status).toBe(3);
});

test.each([
  [['--mutant', 'nothing'], 'there is no mutant nothing'],
  [['--postgres', '14'], '--postgres is 15 or 18'],
  [['--kills', '-1'], '--kills'],
  [['--failpoints', 'relay.tick', '--hits', '0'], '--failpoints wants --hits'],
  [['--what'], '--what'],
])('%j is refused with exit 2', (args, message) => {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], {
    encoding: 'utf8',
  });
  expect(stderr).toContain(message);
  expect(status).toBe(2);
});
