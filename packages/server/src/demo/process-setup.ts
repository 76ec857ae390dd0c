import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSlot, EgressGuard, Endpoints, migrate, SecretBox } from '@event-runtime/runtime';
import pg from 'pg';
import type { ConfiguredSink } from '../config/configured-sink.ts';
import type { DemoDestination, DemoEndpoint, DemoSetup } from './demo-setup.ts';
import { relayProcess } from './relay-process.ts';

/** Where the demo's receiver listens, which is no public network. */
const egressAllow = ['127.0.0.0/8'];

/**
 * The demo on the product as users run it: `event-runtime start` in a process of its own, told by its
 * environment, and of a sink into NATS by a configuration file. What is configured on this machine for a service does not concern it.
 */
export function processSetup(env: Readonly<Record<string, string | undefined>>): DemoSetup {
  // A slot's name is known in the whole cluster, and a demo may run beside another.
  const slot = `event_runtime_demo_${randomBytes(4).toString('hex')}`;
  const secretKey = SecretBox.newKey();
  return {
    slot,
    async prepare(site, { signal }) {
      await migrate({ connectionString: site.databaseUrl, signal });
      const pool = new pg.Pool({ connectionString: site.databaseUrl, max: 1 });
      pool.on('error', () => undefined);
      try {
        // Before the first event: what was written before there was a slot is not in its stream.
        await createSlot(pool, { slot });
        const { destination } = site;
        if (destination.type === 'nats') await writeConfiguration(destination);
        else await createEndpoints(destination.endpoints, { pool, secretKey, signal });
      } finally {
        await pool.end();
      }
    },
    relay(site, { onFailure }) {
      const program = fileURLToPath(new URL('../../bin/event-runtime.js', import.meta.url));
      const { destination } = site;
      const config = destination.type === 'nats' ? ['--config', configFile(destination)] : ['--no-config'];
      return relayProcess({
        args: [program, 'start', ...config],
        env: {
          ...withoutSettings(env),
          DATABASE_URL: site.databaseUrl,
          EVENT_RUNTIME_RELAY_NAME: slot,
          EVENT_RUNTIME_HTTP_PORT: '0',
          // Killed again and again: its successor should not wait long.
          EVENT_RUNTIME_LEASE: '1s',
          EVENT_RUNTIME_SECRET_KEY: secretKey,
          EVENT_RUNTIME_EGRESS_ALLOW: egressAllow.join(','),
          // The receiver refuses some events once, to show a retry; nobody wants to watch five seconds of that.
          EVENT_RUNTIME_WEBHOOK_RETRIES: '100ms,500ms,2s,5s,10s,30s',
          EVENT_RUNTIME_STOP_WITH_STDIN: 'true',
        },
        onFailure,
      });
    },
  };
}

async function createEndpoints(
  wanted: readonly DemoEndpoint[],
  {
    pool,
    secretKey,
    signal,
  }: { readonly pool: pg.Pool; readonly secretKey: string; readonly signal: AbortSignal },
): Promise<void> {
  const endpoints = new Endpoints({
    pool,
    secretBox: new SecretBox([secretKey]),
    guard: new EgressGuard({ allow: egressAllow }),
  });
  for (const { tenant, url, secret } of wanted) {
    await endpoints.create({ tenantId: tenant, url, secret, eventTypes: ['*'], signal });
  }
}

type NatsDestination = Extract<DemoDestination, { readonly type: 'nats' }>;

/** As users write it: the environment has no word for a sink. */
async function writeConfiguration(destination: NatsDestination): Promise<void> {
  const { server, stream } = destination;
  const sink: ConfiguredSink = { type: 'nats', name: 'nats', servers: [server], stream: { name: stream } };
  await writeFile(configFile(destination), JSON.stringify({ sinks: [sink] }));
}

function configFile({ folder }: NatsDestination): string {
  return join(folder, 'event-runtime.config.json');
}

function withoutSettings(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('EVENT_RUNTIME_')));
}
