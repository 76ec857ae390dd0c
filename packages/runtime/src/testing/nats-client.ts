import type { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { loadNatsLibrary, type NatsLibrary } from '../sinks/nats/nats-library.ts';

/** What looking at a stream takes of the client library. */
export interface NatsClient {
  readonly connect: NatsLibrary['connect'];
  readonly jetstream: typeof jetstream;
  readonly jetstreamManager: typeof jetstreamManager;
}

/**
 * Loads the client library when it is wanted: its packages are optional, and who has no use for NATS need not have them.
 *
 * @throws ER5002 it is not installed
 */
export async function natsClient(): Promise<NatsClient> {
  const { connect } = await loadNatsLibrary();
  const library = await import('@nats-io/jetstream');
  return { connect, jetstream: library.jetstream, jetstreamManager: library.jetstreamManager };
}
