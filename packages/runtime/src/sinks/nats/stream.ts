import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { runtimeError } from '../../errors/codes.ts';
import type { BatchKind } from './batch-writer.ts';
import { covers } from './subject-template.ts';

export interface StreamOptions {
  readonly name: string;
  /** Subjects of a stream that is made. Default: wildcards of the subject template and of those that routes name. */
  readonly subjects?: readonly string[];
  /** Whether a stream that is missing is made. Default true. */
  readonly create?: boolean;
  /** In how many servers a stream that is made is kept, and one that is there should be. Default 1. */
  readonly replicas?: number;
  /**
   * Of a stream that is made: milliseconds in which an event that is sent again is recognised. Default 120,000, or
   * `maxAgeMs` where that is less.
   */
  readonly duplicateWindowMs?: number;
  /** Of a stream that is made: milliseconds after which messages are removed. Default: never. */
  readonly maxAgeMs?: number;
}

/** What the sink must know of its stream. */
export interface StreamFacts {
  /** Undefined: the stream takes no batches. */
  readonly batches: BatchKind | undefined;
  /** Bytes of headers and payload together; undefined: only the server's own limit. */
  readonly maxMessageBytes: number | undefined;
  /** What makes the stream less safe than it could be. */
  readonly concerns: readonly StreamConcern[];
}

/** What operators want to know of a stream. */
export interface StreamReport {
  /** What makes it less safe than it could be. */
  readonly concerns: readonly StreamConcern[];
  /** How many servers keep it. */
  readonly replicas: number;
  readonly duplicateWindowMs: number;
  /** After so many milliseconds messages are removed; undefined: never. */
  readonly maxAgeMs: number | undefined;
  /** Bytes, messages, and messages of one subject that it holds; undefined: as many as there is room for. */
  readonly maxBytes: number | undefined;
  readonly maxMessages: number | undefined;
  readonly maxMessagesPerSubject: number | undefined;
  /** What a full one does: drops its oldest messages, or takes no new ones. */
  readonly discard: 'old' | 'new';
  /** Bytes of the largest message, headers included, by the stream and the server; what is larger is a dead letter. */
  readonly maxMessageBytes: number | undefined;
}

/** A property of a stream by which events may be lost, be there twice, or be slow. */
export interface StreamConcern {
  readonly property: string;
  readonly found: string;
  readonly danger: string;
}

interface OpenOptions extends StreamOptions {
  readonly connection: NatsConnection;
  /** What the stream must take; one that is made takes that, if nothing else is said. */
  readonly required: readonly string[];
}

const minimumWindowMs = 120_000;
/** The servers, 2.12 and 2.14, that take atomic and fast batches. */
const [atomicSince, fastSince] = [12, 14];
const nanoseconds = 1_000_000;

/**
 * Looks the stream up, or makes it.
 *
 * @throws ER4015 it is not there, or cannot take the events; Error of the library where the server did not answer
 */
export async function openStream(jsm: JetStreamManager, options: OpenOptions): Promise<StreamFacts> {
  return factsOf((await find(jsm, options.name)) ?? (await create(jsm, options)), options);
}

/** Looks the stream up, and makes nothing; undefined: it is not there. @throws as {@link openStream} */
export async function reportStream(
  jsm: JetStreamManager,
  options: OpenOptions,
): Promise<StreamReport | undefined> {
  const config = await find(jsm, options.name);
  if (config === undefined) return undefined;
  const { concerns, maxMessageBytes = Number.POSITIVE_INFINITY } = factsOf(config, options);
  const largest = Math.min(maxMessageBytes, options.connection.info?.max_payload ?? Number.POSITIVE_INFINITY);
  const maxAge = limitOf(config.max_age);
  return {
    concerns,
    replicas: config.num_replicas,
    duplicateWindowMs: config.duplicate_window / nanoseconds,
    maxAgeMs: maxAge === undefined ? undefined : maxAge / nanoseconds,
    maxBytes: limitOf(config.max_bytes),
    maxMessages: limitOf(config.max_msgs),
    maxMessagesPerSubject: limitOf(config.max_msgs_per_subject),
    discard: config.discard,
    maxMessageBytes: Number.isFinite(largest) ? largest : undefined,
  };
}

/** JetStream says -1 or 0 where there is none. */
function limitOf(value: number): number | undefined {
  return value > 0 ? value : undefined;
}

/** @throws ER4015 */
function factsOf(config: StreamConfig, options: OpenOptions): StreamFacts {
  const refusal = refusalOf(config, options.required);
  if (refusal !== undefined) throw runtimeError('ER4015', { detail: `Stream ${options.name}: ${refusal}.` });
  return {
    batches: batchesOf(config),
    maxMessageBytes: limitOf(config.max_msg_size),
    concerns: concernsOf(config, options),
  };
}

/** Bytes of headers and payload together that a stream takes now; undefined: as many as the server. @throws as {@link openStream} */
export async function askMaxMessageBytes(jsm: JetStreamManager, name: string): Promise<number | undefined> {
  return limitOf((await jsm.streams.info(name)).config.max_msg_size);
}

async function find(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (codeOf(error) === 10_059) return undefined;
    throw error;
  }
}

async function create(jsm: JetStreamManager, options: OpenOptions): Promise<StreamConfig> {
  const { name, subjects = options.required, replicas = 1, connection } = options;
  if (options.create === false) {
    throw runtimeError('ER4015', { detail: `Stream ${name} is not there, and is not to be made.` });
  }
  // JetStream refuses a window that is longer than what it keeps.
  const windowMs = Math.min(minimumWindowMs, options.maxAgeMs ?? minimumWindowMs);
  try {
    const { config } = await jsm.streams.add({
      name,
      subjects: [...subjects],
      num_replicas: replicas,
      duplicate_window: (options.duplicateWindowMs ?? windowMs) * nanoseconds,
      ...(options.maxAgeMs === undefined ? {} : { max_age: options.maxAgeMs * nanoseconds }),
      ...(isFrom(connection, atomicSince) ? { allow_atomic: true } : {}),
      ...(isFrom(connection, fastSince) ? { allow_batched: true } : {}),
    });
    return config;
  } catch (cause) {
    // Another replica of ours may have been faster.
    const found = await find(jsm, name);
    if (found !== undefined) return found;
    const detail = `Stream ${name} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}.`;
    throw runtimeError('ER4015', { detail, cause });
  }
}

/**
 * Fast ones rather than atomic ones: the server does less for each message. But not where several servers have the stream: a
 * fast batch passes over what a leader has only proposed, and may still lose.
 */
function batchesOf(config: StreamConfig): BatchKind | undefined {
  if (config.allow_batched === true && config.num_replicas === 1) return 'fast';
  return config.allow_atomic === true ? 'atomic' : undefined;
}

/** Whether the server is 2.`minor` or newer. */
function isFrom({ info }: NatsConnection, minor: number): boolean {
  const [major = 0, has = 0] = (info?.version ?? '').split('.').map(Number);
  return major > 2 || (major === 2 && has >= minor);
}

/** Why the stream cannot be used at all. */
function refusalOf(config: StreamConfig, required: readonly string[]): string | undefined {
  if (config.no_ack === true) return 'it acknowledges nothing (no_ack)';
  if (config.sealed) return 'it is sealed';
  if (config.mirror !== undefined) return 'it is a mirror of another one';
  // A stream that copies others may have none.
  const subjects = 'subjects' in config ? config.subjects : [];
  const left = required.filter((wildcard) => !subjects.some((subject) => covers(subject, wildcard)));
  if (left.length === 0) return undefined;
  return `its subjects (${subjects.join(', ') || 'none'}) do not take in ${left.join(', ')}`;
}

/** By which properties events may be lost, be there twice, or be slow. */
function concernsOf(config: StreamConfig, options: OpenOptions): readonly StreamConcern[] {
  const concerns: StreamConcern[] = [];
  const concern = (property: string, found: string, danger: string): void => {
    concerns.push({ property, found, danger });
  };
  if (config.storage === 'memory') {
    concern('storage', 'memory', 'all of it is lost when the servers are restarted');
  }
  if ('persist_mode' in config && config['persist_mode'] === 'async') {
    concern('persist_mode', 'async', 'what was acknowledged last is lost when a server crashes');
  }
  if (config.duplicate_window < minimumWindowMs * nanoseconds) {
    concern(
      'duplicate_window',
      `${config.duplicate_window / nanoseconds} ms`,
      'an event that is sent again later than that is there twice',
    );
  }
  const bounded = config.max_msgs > 0 || config.max_bytes > 0 || config.max_msgs_per_subject > 0;
  if (bounded && config.discard === 'old') {
    concern('discard', 'old', 'a full stream drops its oldest events, read or not');
  }
  if (config.retention === 'interest') {
    concern('retention', 'interest', 'an event that no consumer waits for when it arrives is not kept');
  }
  if (config.retention === 'workqueue') {
    concern('retention', 'workqueue', 'an event is gone as soon as its one consumer has acknowledged it');
  }
  const { replicas = 1, connection } = options;
  if (config.num_replicas < replicas) {
    concern(
      'num_replicas',
      String(config.num_replicas),
      `fewer servers keep it than the ${replicas} of the sink`,
    );
  }
  if (batchesOf(config) === undefined && isFrom(connection, atomicSince)) {
    concern(
      'allow_atomic',
      'false',
      'an entity takes as many events a second as there are round trips in one',
    );
  }
  return concerns;
}

/** The err_code of JetStream's answer. */
function codeOf(error: unknown): number | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'number' ? code : undefined;
}
