/**
 * Every metric that is exported, by its name: names, labels and meaning are a contract, for alerts and dashboards are
 * built on them. The reference page is generated from this table.
 *
 * Labels have few values: names of sinks, which are configured, and words of this program. Never a tenant, an entity or
 * an endpoint.
 */
export const metrics = {
  event_runtime_database_up: {
    type: 'gauge',
    labels: [],
    help: 'Whether the last look at the database succeeded, 1 or 0. At 0, what is read from the database is left out.',
  },
  event_runtime_slot_state: {
    type: 'gauge',
    labels: ['state'],
    help: '1 for the state that the replication slot is in, 0 for the others: missing, creating, active, taken, inactive, lost, foreign.',
  },
  event_runtime_slot_restart_lag_bytes: {
    type: 'gauge',
    labels: [],
    help: 'WAL that is kept on the disk of the database for the slot.',
  },
  event_runtime_slot_flush_lag_bytes: {
    type: 'gauge',
    labels: [],
    help: 'WAL that the relay has not confirmed.',
  },
  event_runtime_slot_safe_wal_bytes: {
    type: 'gauge',
    labels: [],
    help: 'WAL that may still be written before the slot may be lost. Left out where max_slot_wal_keep_size is unlimited.',
  },
  event_runtime_slot_catalog_xmin_age_transactions: {
    type: 'gauge',
    labels: [],
    help: 'Transactions since the oldest one whose rows of the system catalogues vacuum must keep for the slot.',
  },
  event_runtime_sink_oldest_undelivered_seconds: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Age of the oldest committed event that the sink has not got, by its stored checkpoint; 0 when there is none.',
  },
  event_runtime_sink_unread_events: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Committed events that the sink has not got, by its stored checkpoint; counted up to 10,000.',
  },
  event_runtime_sink_mode: {
    type: 'gauge',
    labels: ['sink', 'mode'],
    help: '1 for where the sink goes on from, 0 for the other: live (the WAL) or table (it catches up, or polls).',
  },
  event_runtime_sink_paused: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Whether an operator has paused the sink, 1 or 0.',
  },
  event_runtime_sink_gapped_events: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Events that retention dropped before the sink had read them.',
  },
  event_runtime_sink_delivered_total: {
    type: 'counter',
    labels: ['sink'],
    help: 'Events that this process delivered to the sink since it got the lease.',
  },
  event_runtime_window_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory of this process that the recent WAL takes.',
  },
  event_runtime_window_limit_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory that the recent WAL may take; a sink that is further behind reads the table.',
  },
  event_runtime_lease_held: {
    type: 'gauge',
    labels: ['sink'],
    help: 'How many leases this process holds; sink * is the reader of the WAL for all sinks.',
  },
  event_runtime_partitions_ahead_days: {
    type: 'gauge',
    labels: [],
    help: 'Days from now on that have a partition of their own, of the table that has the fewest.',
  },
  event_runtime_dead_letters: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Dead letters that are kept, 0 where there are none; of each sink counted up to 10,000.',
  },
  event_runtime_replay_remaining_events: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Events that the running replays of the sink have still to hand over.',
  },
  event_runtime_replay_stalled_seconds: {
    type: 'gauge',
    labels: ['sink'],
    help: 'Seconds since a running replay of the sink got on, the longest where several stand still; 0 when none runs.',
  },
  event_runtime_webhook_pending: {
    type: 'gauge',
    labels: [],
    help: 'Webhook deliveries still to be made; counted up to 10,000.',
  },
  event_runtime_webhook_oldest_pending_seconds: {
    type: 'gauge',
    labels: [],
    help: 'Age of the oldest webhook delivery still to be made; 0 when there is none.',
  },
  process_cpu_seconds_total: {
    type: 'counter',
    labels: [],
    help: 'Processor time of this process, user and system.',
  },
  process_resident_memory_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory of this process that is resident.',
  },
  process_start_time_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When this process was started, in seconds since 1970.',
  },
  nodejs_eventloop_lag_p99_seconds: {
    type: 'gauge',
    labels: [],
    help: 'By how much timers of this process were late in 99 of 100 cases, since the scrape before.',
  },
} as const;

/** The name of a metric. */
export type MetricName = keyof typeof metrics;

/** What a metric's labels are called. */
export type MetricLabel<Name extends MetricName> = (typeof metrics)[Name]['labels'][number];
