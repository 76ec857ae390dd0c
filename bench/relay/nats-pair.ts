import { randomBytes } from 'node:crypto';
import { EgressGuard, Endpoints, SecretBox } from '@event-runtime/runtime';
import { NatsServer } from '@event-runtime/runtime/testing';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { tenant } from '../emit/event.ts';
import { ArrivalVerdict, type Verdict } from './arrival-verdict.ts';
import { HookReceiver } from './hook-receiver.ts';
import type { RelaySite } from './site.ts';
import type { SinkPair } from './stopped-sink.ts';

const stream = 'EVENTS';
/** The receiver is on no public network. */
const egressAllow = ['127.0.0.0/8'];
const leaseMs = 30_000;

/** Webhooks to one endpoint that takes everything, and a JetStream stream whose server is killed. @param program path of nats-server */
export async function natsPair(site: RelaySite, program: string): Promise<SinkPair> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await NatsServer.start({ program }));
  const receiver = stack.use(await HookReceiver.start());
  const secretKey = randomBytes(32).toString('base64');
  await subscribe(site, { url: receiver.url, secretKey });
  const held = stack.move();
  return {
    live: 'webhooks',
    other: 'nats',
    product: {
      configuration: {
        roles: ['relay', 'webhooks'],
        sinks: [
          { type: 'webhooks' },
          { type: 'nats', name: 'nats', servers: [server.url], stream: { name: stream } },
        ],
        webhooks: { egressAllow },
        // Half an hour is long: a machine that stands still for some seconds must not begin it again.
        relay: { leaseMs },
      },
      env: { EVENT_RUNTIME_SECRET_KEY: secretKey },
    },
    // So that a connection is there to be lost.
    before: 100,
    stop: async () => await server.kill(),
    resume: async () => await server.resume(),
    latencies: async (events) => await receiver.latencies(events),
    verdict: async (events) => await verdictOn(server.url, events),
    [Symbol.asyncDispose]: async () => await held.disposeAsync(),
  };
}

/** One endpoint for all events of the load, and nothing left of an earlier run. */
async function subscribe(
  site: RelaySite,
  { url, secretKey }: { readonly url: string; readonly secretKey: string },
): Promise<void> {
  await site.sql.query('truncate event_runtime.webhook_application, event_runtime.webhook_attempt cascade');
  const pool = new pg.Pool({ connectionString: site.url, max: 1 });
  pool.on('error', () => undefined);
  try {
    const endpoints = new Endpoints({
      pool,
      secretBox: new SecretBox([secretKey]),
      guard: new EgressGuard({ allow: egressAllow }),
    });
    const { signal } = new AbortController();
    await endpoints.create({ tenantId: tenant, url, eventTypes: ['*'], signal });
  } finally {
    await pool.end();
  }
}

/** What the stream has, by a consumer of our own; not kept, for it may be a million events. */
async function verdictOn(url: string, events: number): Promise<Verdict> {
  const verdict = new ArrivalVerdict();
  const connection = await connect({ servers: url });
  try {
    const { state } = await (await jetstreamManager(connection)).streams.info(stream);
    const consumer = await jetstream(connection).consumers.get(stream);
    for await (const { headers, info } of await consumer.consume()) {
      const attribute = (name: string): string => decodeURIComponent(headers?.get(`ce-${name}`) ?? '');
      verdict.add({
        id: attribute('id'),
        seq: attribute('seq'),
        entitykey: attribute('entitykey'),
      });
      if (info.streamSequence === state.last_seq) break;
    }
    return verdict.of(events);
  } finally {
    await connection.close();
  }
}
