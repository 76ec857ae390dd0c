import { errorFactory } from '@event-runtime/outbox';
import { operationErrors } from './operation-errors.ts';
import { replayErrors } from './replay-errors.ts';
import { tableErrors } from './table-errors.ts';

/** ER1xxx: the database and its set-up. */
export const databaseErrors = {
  ER1001: {
    meaning: 'The database cannot be reached.',
    remedy: 'Check DATABASE_URL, that PostgreSQL is running and that this machine may connect.',
    retryable: true,
  },
  ER1002: {
    meaning: 'The database does not write a logical WAL (wal_level is not logical).',
    remedy: "Run `ALTER SYSTEM SET wal_level = 'logical';` and restart PostgreSQL.",
    retryable: false,
  },
  ER1003: {
    meaning: 'The role may not use replication.',
    remedy: 'Run `ALTER ROLE <role> REPLICATION;` (on RDS: `GRANT rds_replication TO <role>;`).',
    retryable: false,
  },
  ER1004: {
    meaning: 'The connection goes through a pooler.',
    remedy:
      'Set DATABASE_URL to PostgreSQL itself: migrations, partition upkeep and the relay need a session. Who emits may keep the pooler.',
    retryable: false,
  },
  ER1005: {
    meaning: 'The database is not encoded in UTF8.',
    remedy: "Use a database created with ENCODING 'UTF8': payloads are kept byte for byte.",
    retryable: false,
  },
  ER1006: {
    meaning: 'This version of PostgreSQL is not supported.',
    remedy: 'Use PostgreSQL 15 to 18.',
    retryable: false,
  },
  ER1101: {
    meaning: 'The event_runtime schema is missing or older than this program needs.',
    remedy: 'Run `npx event-runtime migrate`.',
    retryable: false,
  },
  ER1102: {
    meaning: 'The event_runtime schema was migrated by a newer version, and that migration breaks this one.',
    remedy: 'Upgrade event-runtime to the version that migrated the database; it never runs backwards.',
    retryable: false,
  },
  ER1103: {
    meaning: 'An applied migration differs from the file of the same number.',
    remedy: 'Restore the published package; migrations that were applied must never be edited.',
    retryable: false,
  },
  ER1104: {
    meaning: 'The migration failed and was rolled back.',
    remedy: 'Read the cause; nothing of this migration is left behind.',
    retryable: false,
  },
  ER1105: {
    meaning: 'Partition upkeep could not get its lock in time.',
    remedy:
      'Nothing is blocked; it will be tried again. A transaction left open for long is the usual cause.',
    retryable: true,
  },
  ER1201: {
    meaning: 'The replication slot is in use by another connection.',
    remedy:
      'Stop who reads it, or give this relay a slot of its own with `relay.slot`; a slot is free when its connection has ended.',
    retryable: true,
  },
  ER1202: {
    meaning: 'The replication slot was invalidated or is missing.',
    remedy: 'Drop it with `select pg_drop_replication_slot(...)` and start again; see docs/operations.',
    retryable: false,
  },
  ER1203: {
    meaning: 'A stopped relay can fill the disk: max_slot_wal_keep_size is unlimited.',
    remedy: "Run `ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();`.",
    retryable: false,
  },
  ER1204: {
    meaning: 'The publication is missing.',
    remedy: 'Make it again as `event-runtime doctor` prints it; a relay that runs goes on from the table.',
    retryable: false,
  },
  ER1206: {
    meaning: 'The checkpoints were written for another database cluster.',
    remedy: 'Nothing to do: the relay adopts the new cluster at its next start.',
    retryable: true,
  },
  ER1207: {
    meaning: 'Another replica has taken over: what this one would have written was turned away.',
    remedy:
      'Nothing to do: it goes on as a standby. If it repeats, look for pauses of the process or of its clock.',
    retryable: true,
  },
  ER1208: {
    meaning: 'The database is a standby: its snapshots leave out open transactions.',
    remedy: 'Give the URL of the primary; after a failover, that of the promoted server.',
    retryable: true,
  },
  ER1209: {
    meaning: 'The database has gone back: its log ends before a position that it gave earlier.',
    remedy: 'Nothing to do: the relay goes on from its stored checkpoints. Look for a failover or a restore.',
    retryable: true,
  },
  ER1210: {
    meaning: 'The connection leads to another server: a standby was promoted, or a backup restored.',
    remedy:
      'Nothing to do: the relay goes on from the checkpoints of that server; see docs/operations/failover.md.',
    retryable: true,
  },
  ER1211: {
    meaning: 'The replication slot of this name belongs to another database of the cluster.',
    remedy: 'Set `relay.slot` to a name of its own for this database; see docs/operations/restore.md.',
    retryable: false,
  },
  ER1212: {
    meaning:
      'The publication was made anew or changed while the relay read through it: what it sent may have gaps.',
    remedy: 'Nothing to do: the sinks go on from the table, which has everything.',
    retryable: true,
  },
  ER1213: {
    meaning:
      'The replication slot of this name is not one for the relay: it is physical, or of another output plugin.',
    remedy:
      'Set `relay.slot` to a name that is free; or, if nobody needs the slot, drop it with `select pg_drop_replication_slot(...)`.',
    retryable: false,
  },
  ER1214: {
    meaning:
      'Logical replication writes rows of another cluster into the outbox: their transaction ids mean nothing here.',
    remedy: 'End the subscription before the relay starts; docs/operations/restore.md has the steps.',
    retryable: false,
  },
} as const;

/** ER3xxx: the replication stream. */
export const replicationErrors = {
  ER3001: {
    meaning: 'The replication stream sent a message that is cut short or malformed.',
    remedy: 'Report it with the detail; the relay reconnects and reads the transaction again.',
    retryable: true,
  },
  ER3002: {
    meaning: 'The replication stream sent a message of an unknown kind.',
    remedy: 'Check that the server is PostgreSQL 15 to 18.',
    retryable: false,
  },
  ER3003: {
    meaning: 'The replication stream broke the order that its protocol promises.',
    remedy: 'Report it with the detail; the relay reconnects and reads the transaction again.',
    retryable: true,
  },
  ER3004: {
    meaning: 'The replication connection ended.',
    remedy: 'Nothing to do: the relay reconnects by itself.',
    retryable: true,
  },
  ER3005: {
    meaning: 'The outbox row in the stream has not the columns that this version knows.',
    remedy: 'Run `npx event-runtime migrate`, or upgrade event-runtime.',
    retryable: false,
  },
} as const;

/** ER4xxx: sinks and webhooks. */
export const deliveryErrors = {
  ER4001: {
    meaning: 'The endpoint URL is not allowed.',
    remedy: 'Use an http(s) URL with a public host; private networks need an explicit allowance.',
    retryable: false,
  },
  ER4002: {
    meaning: 'The endpoint resolves or connects to an address that deliveries must not reach.',
    remedy: 'Use a public address, or allow the network by name in the egress settings.',
    retryable: true,
  },
  ER4003: {
    meaning: 'The webhook secret is not valid.',
    remedy: 'Use `whsec_` followed by base64 of 24 to 64 random bytes.',
    retryable: false,
  },
  ER4004: {
    meaning: 'A stored secret cannot be decrypted.',
    remedy: 'Start with the EVENT_RUNTIME_SECRET_KEY that the secret was stored under.',
    retryable: false,
  },
  ER4005: {
    meaning: 'The endpoint did not answer in time.',
    remedy: 'Nothing to do: the delivery is tried again on its schedule.',
    retryable: true,
  },
  ER4006: {
    meaning: 'The connection to the endpoint failed.',
    remedy: 'Nothing to do: the delivery is tried again on its schedule.',
    retryable: true,
  },
  ER4007: {
    meaning: 'The endpoint answered with a status outside 200 to 299.',
    remedy: 'Nothing to do: the delivery is tried again on its schedule.',
    retryable: true,
  },
  ER4008: {
    meaning: 'The event cannot be written as an HTTP request.',
    remedy: 'Read the cause in the detail; the event is in the dead letters, and later events go on.',
    retryable: false,
  },
  ER4009: {
    meaning: 'The event of a delivery is no longer in the outbox.',
    remedy: 'Keep the outbox longer than the retry schedule lasts; the event itself cannot be delivered.',
    retryable: false,
  },
  ER4010: {
    meaning: 'The memory sink is full.',
    remedy: 'Empty it with `clear()`, or raise `maxEvents`; what it did not take is handed over again.',
    retryable: true,
  },
  ER4011: {
    meaning: 'The file of a file sink cannot be opened or written.',
    remedy:
      'Read the cause: free space on the disk, or correct the path or its permissions; the batch is handed over again.',
    retryable: true,
  },
  ER4012: {
    meaning: 'A line of a file is not one that a file sink wrote.',
    remedy:
      'Look at the line that the detail names: the file was changed by somebody else, or damaged by a loss of power.',
    retryable: false,
  },
  ER4013: {
    meaning: 'An event has been committed, and its transaction is not visible to others yet.',
    remedy:
      'Nothing as a rule: the batch is handed over again. Where it lasts, COMMIT waits for a synchronous standby that does not answer.',
    retryable: true,
  },
  ER4014: {
    meaning: 'A NATS server cannot be reached, or turned the connection away, or it was lost.',
    remedy:
      'Read the cause: start the server, or correct its address, the credentials or the certificates; the batch is handed over again.',
    retryable: true,
  },
  ER4015: {
    meaning: 'The JetStream stream of a sink is not there, or cannot take the events.',
    remedy:
      'Make the stream or change it as the detail says, or correct the stream and subject of the sink; the batch is handed over again.',
    retryable: true,
  },
  ER4016: {
    meaning: 'JetStream did not acknowledge an event.',
    remedy:
      'Read the detail: where the stream is full or has no leader, or the user may not publish there, mend that; the event is handed over again, and later ones of its entity wait.',
    retryable: true,
  },
  ER4017: {
    meaning: 'There is no such event in the outbox.',
    remedy: 'Look at the id; an event that is older than `retention.outboxDays` is not there any more.',
    retryable: false,
  },
  ER4018: {
    meaning: 'By a property of its JetStream stream a sink may lose events, have them twice, or be slow.',
    remedy: 'Change the stream as the check says; nothing that was delivered is sent again for it.',
    retryable: false,
  },
  ER4019: {
    meaning: 'There is no such dead letter.',
    remedy:
      'Run `event-runtime dead-letters list --all`: a letter that was redriven and delivered, or discarded, is not there any more.',
    retryable: false,
  },
  ER4020: {
    meaning: 'The endpoint that a dead letter was for has been removed: it cannot be redriven.',
    remedy:
      'Take its payload with `event-runtime dead-letters show`, and discard it; a new endpoint gets new events.',
    retryable: false,
  },
  ER4021: {
    meaning: 'A dead letter has no event: that was gone from the outbox before the letter was kept.',
    remedy:
      'Discard it, and bring the receiver up to date from elsewhere; keep the outbox longer than the retry schedule lasts.',
    retryable: false,
  },
} as const;

/** ER5xxx: configuration and command line. */
export const configurationErrors = {
  ER5001: {
    meaning: 'A setting is missing or not valid.',
    remedy: 'Correct the setting that the message names.',
    retryable: false,
  },
  ER5002: {
    meaning: 'A package that this command needs is not installed.',
    remedy: 'Install the package that the message names.',
    retryable: false,
  },
  ER5003: {
    meaning: 'Embedded PostgreSQL did not start.',
    remedy: 'Read the log in the detail, or set DATABASE_URL to use a PostgreSQL of your own.',
    retryable: false,
  },
  ER5004: {
    meaning: 'A process that this command started keeps ending by itself.',
    remedy: 'Read the end of its output in the detail.',
    retryable: false,
  },
  ER5005: {
    meaning: 'nats-server did not start.',
    remedy: 'Read the log in the detail; `npm run services` says which nats-server is used.',
    retryable: false,
  },
  ER5006: {
    meaning: 'The database has webhook endpoints of its own, and dev would deliver to them.',
    remedy: 'Use a database without endpoints, or unset DATABASE_URL to use embedded PostgreSQL.',
    retryable: false,
  },
  ER5007: {
    meaning: 'Health and metrics cannot be served at their address.',
    remedy:
      'Give another http.port (0: do not serve them) or http.host, or end the program that has the port.',
    retryable: true,
  },
  ER5008: {
    meaning: 'PgBouncer did not start.',
    remedy: 'Read the log in the detail; `npm run services` says which pgbouncer is used.',
    retryable: false,
  },
  ER5009: {
    meaning: 'There is no error of this code.',
    remedy: 'Run `event-runtime explain`, which lists them all.',
    retryable: false,
  },
  ER5010: {
    meaning: 'The command line is not valid.',
    remedy: 'Run the command with --help for what there is.',
    retryable: false,
  },
  ER5011: {
    meaning: 'There is no nats-server that this command could start.',
    remedy:
      'Run `npm run services` in the checkout, which obtains one; or install nats-server 2.12 or later, and put it on the PATH or its path into EVENT_RUNTIME_NATS_SERVER.',
    retryable: false,
  },
} as const;

/** ER9xxx: the life of the process. */
export const lifecycleErrors = {
  ER9001: {
    meaning: 'A service was asked to start twice.',
    remedy: 'Make a new one: a service runs once.',
    retryable: false,
  },
  ER9002: {
    meaning: 'A service did not stop in time.',
    remedy: 'Work that was under way is resumed at the next start; report it if it repeats.',
    retryable: true,
  },
} as const;

/** Every code of the runtime, in one catalogue. */
export const runtimeErrors: typeof databaseErrors &
  typeof operationErrors &
  typeof tableErrors &
  typeof replicationErrors &
  typeof deliveryErrors &
  typeof configurationErrors &
  typeof replayErrors &
  typeof lifecycleErrors = {
  ...databaseErrors,
  ...operationErrors,
  ...tableErrors,
  ...replicationErrors,
  ...deliveryErrors,
  ...configurationErrors,
  ...replayErrors,
  ...lifecycleErrors,
};

/** `throw runtimeError('ER3001', { detail: 'kind B at byte 12' })` */
export const runtimeError: ReturnType<typeof errorFactory<typeof runtimeErrors>> =
  errorFactory(runtimeErrors);
