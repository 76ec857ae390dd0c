import { isEventRuntimeError } from '@event-runtime/outbox';
import type { NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import type { Ending } from './doubts.ts';
import { KnownLimits } from './known-limits.ts';
import { connectNats, type NatsConnectionOptions, withoutSecrets } from './nats-connection.ts';
import { loadNatsLibrary, type NatsLibrary } from './nats-library.ts';
import { Publisher } from './publisher.ts';
import {
  askMaxMessageBytes,
  openStream,
  reportStream,
  type StreamFacts,
  type StreamOptions,
  type StreamReport,
} from './stream.ts';

export interface SessionOptions extends NatsConnectionOptions {
  readonly stream: StreamOptions;
  /** What the stream must take; one that is made takes that, if nothing else is said. */
  readonly required: readonly string[];
  readonly ackMs: number;
  /** Ends the session, also while it is being opened. */
  readonly signal: AbortSignal;
}

/** A connection and what was found at its other end. */
export interface Session {
  readonly connection: NatsConnection;
  readonly publisher: Publisher;
  readonly stream: StreamFacts;
  readonly limits: KnownLimits;
  /** Undefined: it is still there. */
  readonly ending: () => Ending | undefined;
}

/** What a server says before it ends a connection over what it was sent, and not over who sent it. */
const faults = /control line|payload|protocol|parser|publish subject|headers/i;

/** @throws ER4014, ER4015, ER5002; what `access` throws */
export async function openSession(options: SessionOptions): Promise<Session> {
  const { stream, signal } = options;
  const library = await loadNatsLibrary();
  const at = performance.now();
  const connection = await connectNats(library, options);
  const end = (): void => void connection.close().catch(() => undefined);
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  const forget = (): void => signal.removeEventListener('abort', end);
  connection.closed().then(forget, forget);
  try {
    const { ackMs } = options;
    const publisher = new Publisher(connection, {
      stream: stream.name,
      ackMs,
    });
    const ending = watch(connection, { publisher, servers: options.servers });
    const jsm = await library.jetstreamManager(connection, { checkAPI: false });
    const facts = await openStream(jsm, { ...stream, connection, required: options.required });
    const limits = new KnownLimits(
      { server: connection.info?.max_payload, stream: facts.maxMessageBytes },
      {
        at,
        sources: {
          server: async () => await askMaxPayload(library, options),
          stream: async () => await askMaxMessageBytes(jsm, stream.name),
        },
      },
    );
    return { connection, publisher, stream: facts, limits, ending };
  } catch (error) {
    end();
    throw isEventRuntimeError(error) ? error : refusalOf(error, options);
  }
}

/** @throws as {@link openSession} */
async function askMaxPayload(library: NatsLibrary, options: SessionOptions): Promise<number | undefined> {
  options.signal.throwIfAborted();
  const connection = await connectNats(library, options);
  const { info } = connection;
  await connection.close();
  return info?.max_payload;
}

/** What there is to know of a stream, over a connection of its own; undefined: it is not there. @throws as {@link openSession} */
export async function inspectStream(options: SessionOptions): Promise<StreamReport | undefined> {
  const library = await loadNatsLibrary();
  const connection = await connectNats(library, options);
  try {
    const jsm = await library.jetstreamManager(connection, { checkAPI: false });
    return await reportStream(jsm, { ...options.stream, connection, required: options.required });
  } catch (error) {
    throw isEventRuntimeError(error) ? error : refusalOf(error, options);
  } finally {
    await connection.close();
  }
}

/** JetStream's own answers have an err_code; the rest is that of a server that did not answer. */
function refusalOf(cause: unknown, { stream, servers }: SessionOptions): Error {
  const denied = denialIn(cause);
  const message = denied ?? (cause instanceof Error ? cause.message : String(cause));
  const answered = cause instanceof Error && 'code' in cause && typeof cause.code === 'number';
  if (denied !== undefined || answered) {
    return runtimeError('ER4015', { detail: `Stream ${stream.name}: ${message}.`, cause });
  }
  const where = servers.map(withoutSecrets).join(', ');
  return runtimeError('ER4014', { detail: `${where}: JetStream did not answer: ${message}.`, cause });
}

/** What the server says of a missing right; the library wraps it. */
function denialIn(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at.name === 'PermissionViolationError') return at.message;
  }
  return undefined;
}

/** Tells the publisher what the server says without being asked. */
function watch(
  connection: NatsConnection,
  options: { readonly publisher: Publisher; readonly servers: readonly string[] },
): () => Ending | undefined {
  const { publisher, servers } = options;
  let fault: string | undefined;
  let said: string | undefined;
  let ending: Ending | undefined;
  const listen = async (): Promise<void> => {
    for await (const status of connection.status()) {
      if (status.type !== 'error') continue;
      const { error } = status;
      if (error.name === 'PermissionViolationError') {
        const { operation, subject } = error as Error & { operation?: unknown; subject?: unknown };
        // Its message has the subject in it, and with that what tenants and keys there are.
        if (operation === 'publish') {
          publisher.refuse(String(subject), 'Permissions Violation: the user may not publish there');
        }
        continue;
      }
      said = error.message;
      if (faults.test(said)) fault = said;
    }
  };
  listen().catch(() => undefined);
  const where = servers.map(withoutSecrets).join(', ');
  const end = (cause?: unknown): void => {
    ending = { fault };
    const why = said === undefined ? '' : `: ${said}`;
    publisher.fail(runtimeError('ER4014', { detail: `${where}: the connection was lost${why}.`, cause }));
  };
  connection.closed().then((error) => end(error ?? undefined), end);
  return () => ending;
}
