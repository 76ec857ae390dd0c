import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findService } from '../../../../scripts/services/services.ts';
import { programEnvironment } from '../program-environment.suite.ts';

const natsServer = await findService('nats-server');
const program = fileURLToPath(new URL('../../bin/event-runtime.js', import.meta.url));

interface Outcome {
  readonly code: number;
  readonly json: Record<string, unknown>;
  readonly notes: string;
}

interface DemoOptions {
  readonly account?: { readonly uid: number; readonly gid: number };
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The demo as users run it: its own process, embedded PostgreSQL, the relay in another process. */
async function demo(args: readonly string[], { account, env = {} }: DemoOptions = {}): Promise<Outcome> {
  const child = promisify(execFile)(process.execPath, [program, 'demo', '--json', ...args], {
    env: { ...programEnvironment, ...env },
    maxBuffer: 10 * 1_024 * 1_024,
    ...account,
  });
  const ended = await child.then(
    (output) => ({ ...output, code: 0 }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  );
  const lines = ended.stdout.trim().split('\n');
  expect(lines, ended.stderr).toHaveLength(1);
  return {
    code: ended.code,
    json: JSON.parse(lines[0] ?? '') as Record<string, unknown>,
    notes: ended.stderr,
  };
}

const exact = {
  lost: 0,
  phantom: 0,
  reordered: 0,
  corrupted: 0,
  badSignatures: 0,
  confirmedFlushReached: true,
};

test('every example arrives exactly as committed', async () => {
  const { code, json, notes } = await demo(['--events', '600', '--rate', '0']);
  expect(json, notes).toMatchObject({ ...exact, events: 600, delivered: 600, kills: 0 });
  expect(Number(json['rolledBack'])).toBeGreaterThan(0);
  expect(Number(json['slotTransactions'])).toBeGreaterThanOrEqual(Number(json['committed']));
  expect(code).toBe(0);
}, 300_000);

test('so it does while the relay is killed again and again', async () => {
  const { code, json, notes } = await demo(['--events', '1200', '--kill']);
  expect(json, notes).toMatchObject({ ...exact, events: 1_200, delivered: 1_200 });
  expect(Number(json['kills'])).toBeGreaterThan(5);
  expect(json['killsWithBacklog']).toBe(json['kills']);
  expect(Number(json['slotTransactions'])).toBeGreaterThanOrEqual(Number(json['committed']));
  expect(code).toBe(0);
}, 600_000);

test.skipIf(natsServer === undefined)(
  'into NATS JetStream, the relay killed meanwhile: the stream has each event once, 5 MB included [needs nats-server]',
  async () => {
    const env = { EVENT_RUNTIME_NATS_SERVER: natsServer };
    const { code, json, notes } = await demo(['--sink', 'nats', '--events', '150', '--kill'], { env });
    expect(json, notes).toMatchObject({ ...exact, events: 150, delivered: 150, duplicates: 0 });
    expect(Number(json['killsWithBacklog'])).toBeGreaterThan(0);
    expect(Number(json['slotTransactions'])).toBeGreaterThanOrEqual(Number(json['committed']));
    expect(Number(json['p50Ms'])).toBeGreaterThan(0);
    expect(code).toBe(0);
  },
  300_000,
);

test('without nats-server it says so before anything is started', async () => {
  const { code, json } = await demo(['--sink', 'nats'], { env: { EVENT_RUNTIME_NATS_SERVER: '/nowhere' } });
  expect(json['error']).toMatchObject({ code: 'ER5011' });
  expect(JSON.stringify(json)).toContain('/nowhere: it cannot be run');
  expect(code).toBe(1);
});

// Root and an ordinary user take different ways to a server that refuses to run as root.
test.runIf(process.getuid?.() === 0)(
  'an ordinary user can run it too',
  async () => {
    const { code, json, notes } = await demo(['--events', '60', '--rate', '0'], {
      account: { uid: 65_534, gid: 65_534 },
    });
    expect(json, notes).toMatchObject({ ...exact, events: 60, delivered: 60 });
    expect(code).toBe(0);
  },
  300_000,
);
