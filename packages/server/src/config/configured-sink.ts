import type { Sink } from '@event-runtime/runtime';

/** What becomes of later events of an entity that has a dead letter: docs/guides/dead-letters.md. */
export type AfterDeadLetter = 'continue' | 'wait';

/** Where the events go: what a file may have below `sinks`. */
export type ConfiguredSink =
  | ConfiguredWebhooks
  | ConfiguredFile
  | ConfiguredNats
  | ConfiguredCustom
  | ConfiguredNull;

/** A sink as it is once the file is read: durations are milliseconds. */
export type SinkSettings =
  | ConfiguredWebhooks
  | ConfiguredFile<number>
  | ConfiguredNats<number>
  | ConfiguredCustom<number>
  | ConfiguredNull;

/** What becomes of events that a sink refuses, or turns away: docs/guides/dead-letters.md. */
export interface ConfiguredLetters<Duration = string> {
  /** Whether later events of an entity wait behind a dead letter of it. Default `continue`. */
  readonly afterDeadLetter?: AfterDeadLetter;
  /**
   * After which an event becomes a dead letter that is turned away again and again while others are taken. `1m` or more.
   * Default: it never does.
   */
  readonly deadLetterAfter?: Duration;
}

/** The tenants' webhook endpoints. The role `webhooks` does the sending. */
export interface ConfiguredWebhooks {
  readonly type: 'webhooks';
}

/** A file that gets one JSON line for each event. */
export interface ConfiguredFile<Duration = string> extends ConfiguredLetters<Duration> {
  readonly type: 'file';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
  /** A relative path begins at the folder of the configuration file. Its folder must exist. */
  readonly path: string;
}

/**
 * A stream of NATS JetStream that gets a message for each event: docs/guides/nats.md. Needs the packages
 * `@nats-io/transport-node` and `@nats-io/jetstream`.
 */
export interface ConfiguredNats<Duration = string> extends ConfiguredLetters<Duration> {
  readonly type: 'nats';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
  /** Like `nats://host:4222` or `tls://host:4222`, one or more of a cluster. */
  readonly servers: readonly string[];
  /** Each sink fills a stream of its own. */
  readonly stream: ConfiguredStream<Duration>;
  /** With `<tenant>`, `<ecosystem>`, `<type>` and `<key>` behind a word of its own. Default `events.<tenant>.<type>`. */
  readonly subject?: string;
  /** How the server knows who we are. Looked up at start, and anew for each connection. */
  readonly access?: ConfiguredNatsAccess;
  /** Given at all, the connection must be encrypted. */
  readonly tls?: ConfiguredNatsTls;
}

/** A JetStream stream. All but the name counts only where the stream is made. */
export interface ConfiguredStream<Duration = string> {
  readonly name: string;
  /** They must take in every subject of the sink and of the routes to it. Default: what does. */
  readonly subjects?: readonly string[];
  /** Whether it is made when it is missing. Default true. */
  readonly create?: boolean;
  /** Default 1. */
  readonly replicas?: number;
  /** In which an event that is sent again is recognised. Default `2m`. */
  readonly duplicateWindow?: Duration;
  /** After which messages are removed. Default: never. */
  readonly maxAge?: Duration;
}

/** References to secrets, `env:NAME` or `file:/path`; a user with its password, or one of the others. */
export interface ConfiguredNatsAccess {
  readonly token?: string;
  /** Not a reference: the name itself. */
  readonly user?: string;
  readonly password?: string;
  readonly nkeySeed?: string;
  /** A credentials file: a JWT and its seed. */
  readonly credentials?: string;
}

/** References to PEM texts, `env:NAME` or `file:/path`; a certificate with its key, or neither. */
export interface ConfiguredNatsTls {
  /** Default: the authorities that Node knows. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** A sink of your own: docs/guides/sinks.md. Only a file in TypeScript or JavaScript can have one. */
export interface ConfiguredCustom<Duration = string> extends ConfiguredLetters<Duration> {
  readonly type: 'custom';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
  /** Makes it, of this name: whenever this process begins to feed it, and with each batch again after it threw. */
  readonly create: () => Sink;
}

/** Takes everything and keeps nothing: for measurements. */
export interface ConfiguredNull {
  readonly type: 'null';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
}

/** The name that the checkpoint of a sink is kept under. */
export function nameOfSink(sink: SinkSettings): string {
  return sink.type === 'webhooks' ? 'webhooks' : sink.name;
}
