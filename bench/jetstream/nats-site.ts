import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { NatsServer } from '@event-runtime/runtime/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { findService } from '../../scripts/services/services.ts';

/** The product's stream, and the bare publisher's. */
export const streams = { product: 'EVENTS', bare: 'BARE' } as const;
/** The first token of the subjects in each. */
export const subjects = { product: 'events', bare: 'bare' } as const;

/** A nats-server of its own, with its default settings and its streams on the disk. @throws where there is none */
export async function startNats(): Promise<NatsServer> {
  const program = await findService('nats-server');
  if (program === undefined) {
    throw new Error(
      'there is no nats-server 2.12 or newer; `npm run services` fetches one, EVENT_RUNTIME_NATS_SERVER may name it',
    );
  }
  return await NatsServer.start({ program });
}

/** The version of that nats-server, by its own word; undefined: there is none. */
export async function natsVersion(): Promise<string | undefined> {
  const program = await findService('nats-server');
  if (program === undefined) return undefined;
  const { stdout } = await promisify(execFile)(program, ['--version']);
  return /v(\d[^\s]*)/.exec(stdout)?.[1];
}

/** A stream like the one that the product makes, for the bare publisher. */
export async function makeBareStream(url: string): Promise<void> {
  const connection = await connect({ servers: [url] });
  try {
    const { streams: api } = await jetstreamManager(connection);
    await api.add({
      name: streams.bare,
      subjects: [`${subjects.bare}.*.>`],
      duplicate_window: 120_000_000_000,
      allow_atomic: true,
    });
  } finally {
    await connection.close();
  }
}
