import type { Archive } from '@event-runtime/runtime';
import type { Configuration } from './configuration.ts';
import { byteSize } from './kinds/byte-size.ts';
import { duration } from './kinds/duration.ts';
import { functionOf } from './kinds/function-of.ts';
import { listOf } from './kinds/list-of.ts';
import { network } from './kinds/network.ts';
import { oneOf } from './kinds/one-of.ts';
import { pattern } from './kinds/pattern.ts';
import { routeList } from './kinds/route-list.ts';
import { sinkList } from './kinds/sink-list.ts';
import { truth } from './kinds/truth.ts';
import { wholeNumber } from './kinds/whole-number.ts';
import { databaseUrlKind, secretKeysKind } from './secret-kind.ts';
import type { Setting } from './setting.ts';

/** The name of a setting: where it is in a file. */
export type SettingPath = PathsOf<Configuration>;

type PathsOf<T> = {
  [Key in keyof T & string]: T[Key] extends
    | readonly unknown[]
    | string
    | number
    | boolean
    | ((...args: never) => unknown)
    | undefined
    ? Key
    : `${Key}.${PathsOf<T[Key]>}`;
}[keyof T & string];

/** The type of one setting's value. */
export type SettingValue<Path extends string, T = Configuration> = Path extends keyof T
  ? T[Path]
  : Path extends `${infer Head}.${infer Tail}`
    ? Head extends keyof T
      ? SettingValue<Tail, T[Head]>
      : never
    : never;

const name = pattern({
  pattern: '[a-z0-9_]{1,63}',
  allowed: '1 to 63 of a-z, 0-9 and _',
  placeholder: 'name',
});

const days = wholeNumber({ least: 1, most: 3_650, unit: 'days' });

const [seconds, minutes, hours] = [1_000, 60_000, 3_600_000];

/**
 * Every setting of the service, in the order of the reference page. All that is said of settings is made from this
 * table: the flags and their help, the types of a configuration file (`npm run generate` after a change), its JSON
 * Schema, `docs/reference/settings.md`.
 */
const settingsTable: { readonly [Path in SettingPath]: Setting<SettingValue<Path>> } = {
  databaseUrl: {
    flag: '--database-url',
    env: 'DATABASE_URL',
    secret: true,
    kind: databaseUrlKind,
    neededBy: 'every',
    remedy:
      'Set DATABASE_URL=postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F).',
    about:
      'The database: PostgreSQL itself, not a pooler. `start` needs a role with `REPLICATION` that is a member of `event_runtime_service` and `event_runtime_owner`; `migrate` a superuser, or a role with `CREATEROLE` and with `CREATE` on the database.',
    since: '0.1.0',
  },
  secretKeys: {
    flag: '--secret-keys',
    env: 'EVENT_RUNTIME_SECRET_KEY',
    secret: true,
    kind: secretKeysKind,
    neededBy: 'webhooks',
    remedy:
      'Make a key with `openssl rand -base64 32`, keep it where you keep secrets, and set EVENT_RUNTIME_SECRET_KEY to it.',
    about: 'Keys that the webhook secrets are encrypted under. The first one encrypts, all of them decrypt.',
    since: '0.1.0',
  },
  roles: {
    flag: '--roles',
    env: 'EVENT_RUNTIME_ROLES',
    secret: false,
    kind: listOf(oneOf(['relay', 'webhooks']), { least: 1 }),
    default: { value: ['relay', 'webhooks'] },
    about: 'What this process does: `relay` carries events to the sinks, `webhooks` sends deliveries.',
    since: '0.1.0',
  },
  sinks: {
    flag: null,
    env: null,
    secret: false,
    kind: sinkList,
    default: { value: [{ type: 'webhooks' }] },
    about:
      'Where the relay carries events. `nats` is a stream of NATS JetStream; a `file` gets a JSON line for each, its path beginning at the folder of the configuration file; `custom` is a sink of your own; `null` keeps nothing. Checkpoints are kept under the names.',
    since: '0.1.0',
  },
  routes: {
    flag: null,
    env: null,
    secret: false,
    kind: routeList,
    default: { value: undefined },
    about:
      'Which events go to which sinks: conditions on `type`, `tenant`, `ecosystem` and `header` (`*` stands for any characters), a `filter`, a `transform` of the payload (not to `webhooks`), a `subject` (to `nats` and `custom`). The first route that matches counts for each sink. Default: everything goes everywhere.',
    since: '0.1.0',
  },
  'relay.name': {
    flag: '--relay-name',
    env: 'EVENT_RUNTIME_RELAY_NAME',
    secret: false,
    kind: name,
    default: { value: 'event_runtime' },
    about: 'What checkpoints and leases are kept under. Replicas of one relay have the same name.',
    since: '0.1.0',
  },
  'relay.slot': {
    flag: '--relay-slot',
    env: 'EVENT_RUNTIME_SLOT',
    secret: false,
    kind: name,
    default: { sameAs: 'relay.name' },
    about:
      'Name of the replication slot; it is made when it is missing. Slots belong to the whole cluster: two databases of one cluster need two names.',
    since: '0.1.0',
  },
  'relay.source': {
    flag: '--relay-source',
    env: 'EVENT_RUNTIME_RELAY_SOURCE',
    secret: false,
    kind: oneOf(['wal', 'table']),
    default: { value: 'wal' },
    about:
      '`wal`: reads the write-ahead log, and the table for what is behind. `table`: polls the table, and needs no logical replication.',
    since: '0.1.0',
  },
  'relay.shards': {
    flag: '--relay-shards',
    env: 'EVENT_RUNTIME_RELAY_SHARDS',
    secret: false,
    kind: wholeNumber({ least: 1, most: 64 }),
    default: { value: 1 },
    about: 'Into how many parts each sink is divided among replicas. For `relay.source: table` only.',
    since: '0.1.0',
  },
  'relay.pollMs': {
    flag: '--relay-poll-ms',
    env: 'EVENT_RUNTIME_RELAY_POLL_MS',
    secret: false,
    kind: duration({ least: 1, most: 60 * seconds, bare: true }),
    default: { value: 100 },
    about: 'Time between two looks at the table; where nothing happens it grows. In milliseconds.',
    since: '0.1.0',
  },
  'relay.windowBytes': {
    flag: '--relay-window-bytes',
    env: 'EVENT_RUNTIME_RELAY_WINDOW_BYTES',
    secret: false,
    kind: byteSize({ least: 1_024 ** 2, most: 4 * 1_024 ** 3 }),
    default: { value: 32 * 1_024 ** 2 },
    about:
      'How much of the recent log is kept in memory for the sinks; one that is further behind reads the table. In bytes.',
    since: '0.1.0',
  },
  'relay.failover': {
    flag: '--relay-failover',
    env: 'EVENT_RUNTIME_RELAY_FAILOVER',
    secret: false,
    kind: truth,
    default: { value: true },
    about:
      'Whether a slot that is made is carried over to standbys. PostgreSQL 17 and later; older ones cannot.',
    since: '0.1.0',
  },
  'relay.unboundedWal': {
    flag: '--relay-unbounded-wal',
    env: 'EVENT_RUNTIME_RELAY_UNBOUNDED_WAL',
    secret: false,
    kind: oneOf(['refuse', 'warn']),
    default: { value: 'refuse' },
    about: 'What an unlimited `max_slot_wal_keep_size`, with which a slot can fill the disk, means at start.',
    since: '0.1.0',
  },
  'relay.leaseMs': {
    flag: '--relay-lease-ms',
    env: 'EVENT_RUNTIME_LEASE',
    secret: false,
    kind: duration({ least: 500, most: 5 * minutes, bare: true }),
    default: { value: 3_500 },
    about: 'After how long a replica that gave no sign of life is replaced. In milliseconds.',
    since: '0.1.0',
  },
  'retention.outboxDays': {
    flag: '--retention-outbox-days',
    env: 'EVENT_RUNTIME_RETENTION_OUTBOX_DAYS',
    secret: false,
    kind: days,
    default: { value: 30 },
    about: 'How long events are kept that every sink has read.',
    since: '0.1.0',
  },
  'retention.maxDays': {
    flag: '--retention-max-days',
    env: 'EVENT_RUNTIME_RETENTION_MAX_DAYS',
    secret: false,
    kind: days,
    default: { value: 90 },
    about:
      'How long events are kept at most for a sink that has not read them. Not below `retention.outboxDays`.',
    since: '0.1.0',
  },
  'retention.keyDays': {
    flag: '--retention-key-days',
    env: 'EVENT_RUNTIME_RETENTION_KEY_DAYS',
    secret: false,
    kind: days,
    default: { value: 30 },
    about: 'How long idempotency keys are kept.',
    since: '0.1.0',
  },
  'retention.replayDays': {
    flag: '--retention-replay-days',
    env: 'EVENT_RUNTIME_RETENTION_REPLAY_DAYS',
    secret: false,
    kind: days,
    default: { value: 365 },
    about: 'How long a replay that is done or cancelled is kept on record.',
    since: '0.1.0',
  },
  'retention.archive': {
    flag: null,
    env: null,
    secret: false,
    kind: functionOf<Archive | undefined>('Archive'),
    default: { value: undefined },
    about:
      'Is given each partition of the outbox before it is dropped; while it fails, the partition stays. Every replica with the role `relay` needs it.',
    since: '0.1.0',
  },
  'webhooks.egressAllow': {
    flag: '--webhooks-egress-allow',
    env: 'EVENT_RUNTIME_EGRESS_ALLOW',
    secret: false,
    kind: listOf(network),
    default: { value: [] },
    about: 'Networks that webhooks may reach although they are not public.',
    since: '0.1.0',
  },
  'webhooks.retryDelays': {
    flag: '--webhooks-retry-delays',
    env: 'EVENT_RUNTIME_WEBHOOK_RETRIES',
    secret: false,
    kind: listOf(duration({ least: 0, most: 720 * hours, bare: false })),
    default: {
      value: [
        5 * seconds,
        ...[5, 30].map((n) => n * minutes),
        ...[2, 5, 10, 14, 20, 24].map((n) => n * hours),
      ],
    },
    about: 'The delays before each repetition of a delivery; after the last one it is dead.',
    since: '0.1.0',
  },
  'http.host': {
    flag: '--http-host',
    env: 'EVENT_RUNTIME_HTTP_HOST',
    secret: false,
    kind: pattern({
      pattern: '[A-Za-z0-9_.:-]{1,253}',
      allowed: 'an address or a host name, like 127.0.0.1 or 0.0.0.0',
      placeholder: 'host',
    }),
    default: { value: '127.0.0.1' },
    about: 'Where health and metrics are served.',
    since: '0.1.0',
  },
  'http.port': {
    flag: '--http-port',
    env: 'EVENT_RUNTIME_HTTP_PORT',
    secret: false,
    kind: wholeNumber({ least: 0, most: 65_535 }),
    default: { value: 8_790 },
    about: 'The port of health and metrics; 0: they are not served.',
    since: '0.1.0',
  },
  'log.level': {
    flag: '--log-level',
    env: 'EVENT_RUNTIME_LOG_LEVEL',
    secret: false,
    kind: oneOf(['debug', 'info', 'warn', 'error', 'silent']),
    default: { value: 'info' },
    about: 'The least level that is logged. A delivery that succeeded is logged at `debug`.',
    since: '0.1.0',
  },
};

/** The rows of the table, in its order. */
export const settingRows: ReadonlyArray<readonly [path: SettingPath, setting: Setting<unknown>]> =
  Object.entries(settingsTable) as Array<[SettingPath, Setting<unknown>]>;
