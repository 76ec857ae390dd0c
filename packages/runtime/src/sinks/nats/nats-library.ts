import type { JetStreamManager } from '@nats-io/jetstream';
import type { Authenticator, ConnectionOptions, NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';

/** What is used of the client library, an optional peer dependency. */
export interface NatsLibrary {
  readonly connect: (options: ConnectionOptions) => Promise<NatsConnection>;
  readonly credsAuthenticator: (creds: Uint8Array) => Authenticator;
  readonly nkeyAuthenticator: (seed: Uint8Array) => Authenticator;
  readonly jetstreamManager: (
    connection: NatsConnection,
    options: { readonly checkAPI: boolean },
  ) => Promise<JetStreamManager>;
}

/** @throws ER5002 it is not installed */
export async function loadNatsLibrary(): Promise<NatsLibrary> {
  try {
    const [transport, { jetstreamManager }] = await Promise.all([
      import('@nats-io/transport-node'),
      import('@nats-io/jetstream'),
    ]);
    const { connect, credsAuthenticator, nkeyAuthenticator } = transport;
    return { connect, credsAuthenticator, nkeyAuthenticator, jetstreamManager };
  } catch (cause) {
    throw runtimeError('ER5002', {
      detail: 'The NATS sink needs @nats-io/transport-node and @nats-io/jetstream.',
      remedy: 'npm install @nats-io/transport-node @nats-io/jetstream',
      cause,
    });
  }
}
