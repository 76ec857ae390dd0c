/**
 * Every event that is logged, by its name in the field `event`. The names and their meaning are a contract:
 * alerts and searches are built on them. The reference page is generated from this table.
 */
export const logEvents = {
  'service.started': 'All parts of the process are ready.',
  'service.stopped': 'The process has stopped as asked, or ended by itself without an error.',
  'service.failed': 'A part of the process ended with an error; the process ends too.',
  'process.stopping': 'The process was asked to stop and finishes what is under way.',
  'schema.partitions': 'Partition upkeep ran; `ahead` is the number of days that have a partition.',
  'schema.upkeep.failed': 'Partition upkeep could not finish and will be tried again.',
  'relay.slot.created': 'The replication slot was created.',
  'relay.slot.late': 'There were events before the slot was made; this version does not hand them over.',
  'relay.slot.unbounded': 'max_slot_wal_keep_size is unlimited: a stopped relay can fill the disk.',
  'relay.streaming': 'The relay reads the log and hands its events over to `sinks`.',
  'relay.reconnecting': 'The log could not be read; the relay tries again after `delayMs`.',
  'relay.sink.retry': 'A sink did not take a batch; it is handed over again after `delayMs`.',
  'relay.sink.rejected': 'A sink refused an event for good.',
  'relay.checkpoint.failed':
    'A checkpoint could not be written; events since the last one may be handed over again.',
  'webhook.delivered': 'An endpoint took an event.',
  'webhook.retrying': 'An endpoint did not take an event; it is tried again.',
  'webhook.dead': 'An event is in the dead letters: its retries are used up, or it can never be delivered.',
  'webhook.cycle.failed': 'A round of the deliverer failed as a whole and is repeated.',
} as const;

/** The name of an event that is logged. */
export type LogEvent = keyof typeof logEvents;
