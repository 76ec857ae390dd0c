/** ER13xx: what `doctor` and `status` find, and what operators' commands refuse. docs/operations/doctor.md has a chapter for each. */
export const operationErrors = {
  ER1301: {
    meaning: 'The server has no room for another replication slot or its reader.',
    remedy:
      'Raise max_replication_slots and max_wal_senders and restart PostgreSQL, or drop slots that nobody reads.',
    retryable: true,
  },
  ER1302: {
    meaning: 'The role lacks a right that the service needs.',
    remedy: 'Run `GRANT event_runtime_service, event_runtime_owner TO <role>;`.',
    retryable: false,
  },
  ER1303: {
    meaning: 'The publication does not carry what the relay reads.',
    remedy: 'Make it again as the migrations make it; see docs/operations/doctor.md.',
    retryable: false,
  },
  ER1304: {
    meaning: 'Nobody reads the replication slot, and it keeps WAL on the disk.',
    remedy: 'Start the relay, or drop the slot with `event-runtime slot drop --yes`.',
    retryable: false,
  },
  ER1305: {
    meaning: 'The replication slot is about to be lost: the WAL that it keeps has come near the bound.',
    remedy: 'Look why the relay does not keep up, or raise max_slot_wal_keep_size.',
    retryable: false,
  },
  ER1306: {
    meaning: 'The server gives up a slot that was not read for a while (idle_replication_slot_timeout).',
    remedy: 'Set it to 0, or to longer than the longest stop you want to live through without a new slot.',
    retryable: false,
  },
  ER1307: {
    meaning: 'The replication slot is not carried over to standbys.',
    remedy: 'Drop the slot while the relay is stopped; it makes a new one that is.',
    retryable: false,
  },
  ER1308: {
    meaning:
      'The slot may be ahead of the standbys: synchronized_standby_slots is empty, so after a failover events may turn out never to have been committed.',
    remedy: 'Name the physical slots of the standbys in synchronized_standby_slots.',
    retryable: false,
  },
  ER1309: {
    meaning: 'The partitions that are made ahead of time run out.',
    remedy: 'Run the relay, which makes them, and look for `schema.upkeep.failed` in its log.',
    retryable: false,
  },
  ER1310: {
    meaning: 'A transaction has been open for long: the making of a slot, upkeep and vacuum wait for it.',
    remedy: 'End it, and set idle_in_transaction_session_timeout for the role that left it open.',
    retryable: false,
  },
  ER1311: {
    meaning: "The clocks of this machine and of the database's differ.",
    remedy: 'Look after the time synchronisation (NTP) of both.',
    retryable: false,
  },
  ER1312: {
    meaning: 'No relay is running: events wait in the outbox.',
    remedy: 'Run `event-runtime start`.',
    retryable: false,
  },
  ER1313: {
    meaning: 'A sink is paused.',
    remedy: 'Run `event-runtime sinks resume <name>` when it shall go on.',
    retryable: false,
  },
  ER1314: {
    meaning: 'Retention dropped events that a sink had not read.',
    remedy: 'They are gone from the outbox; bring the receiver up to date from elsewhere.',
    retryable: false,
  },
  ER1315: {
    meaning: 'There are dead letters: events that a sink refused for good, or that used up their retries.',
    remedy:
      'Run `event-runtime dead-letters`: it groups them by their errors; mend the cause, then redrive or discard them.',
    retryable: false,
  },
  ER1316: {
    meaning: 'A sink is behind: its oldest event has waited for long.',
    remedy: 'Look for `relay.sink.retry` in the log of the relay: it says what the sink answers.',
    retryable: false,
  },
  ER1317: {
    meaning: 'Webhook deliveries wait for long.',
    remedy: 'Look at event_runtime.webhook_attempt for what the endpoints answer.',
    retryable: false,
  },
  ER1318: {
    meaning: 'A relay is running on this database.',
    remedy: 'Stop every `event-runtime start` first; a lease ends a few seconds after its process.',
    retryable: true,
  },
  ER1319: {
    meaning: 'Objects outside of the schema event_runtime stand on it.',
    remedy: 'Drop the objects that the detail names first.',
    retryable: false,
  },
  ER1320: {
    meaning: 'The relay knows no sink of this name.',
    remedy: 'Run `event-runtime sinks list`; a sink is known once a relay has run with it.',
    retryable: false,
  },
  ER1321: {
    meaning:
      'The relay gets nothing from the WAL: synchronized_standby_slots names a slot that no standby reads.',
    remedy: 'Start the standby again, or take its slot out of synchronized_standby_slots.',
    retryable: false,
  },
  ER1322: {
    meaning:
      'The replication slot holds back vacuum of the system catalogues: they grow, and in the end transaction ids run out.',
    remedy:
      'Look why the slot does not move: no relay that reads it, or a transaction that has been open for long.',
    retryable: false,
  },
  ER1323: {
    meaning: 'A replay runs and does not get on.',
    remedy: 'Run `event-runtime replay list`: it says what is in the way of each.',
    retryable: false,
  },
} as const;
