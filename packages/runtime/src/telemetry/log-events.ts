/**
 * Every event that is logged, by its name in the field `event`. The names and their meaning are a contract:
 * alerts and searches are built on them. The reference page is generated from this table.
 */
export const logEvents = {
  'service.started': 'All parts of the process are ready.',
  'service.stopped': 'The process has stopped as asked, or ended by itself without an error.',
  'service.failed': 'A part of the process ended with an error; the process ends too.',
  'process.stopping': 'The process was asked to stop and finishes what is under way.',
  'health.listening': 'Health and metrics are served at `host` and `port`.',
  'health.unavailable':
    'Health and metrics cannot be served; events are delivered all the same, and it is tried again after `delayMs`.',
  'schema.partitions': 'Partition upkeep ran; `ahead` is the number of days that have a partition.',
  'schema.upkeep.failed': 'Partition upkeep could not finish and will be tried again.',
  'retention.dropped': 'Retention has dropped `partitions` of `table`.',
  'retention.replays.dropped': 'Retention has removed so many replays that were over for long.',
  'retention.kept':
    'A partition of the outbox is older than its days and stays; `reason` is unread, deliveries, open-transaction or changed.',
  'retention.archived': 'The archive has taken a partition of the outbox, which may now be dropped.',
  'retention.archive.failed': 'The archive did not take a partition; it stays and is offered again.',
  'retention.deliveries.abandoned':
    'A partition went past the maximum age; so many pending deliveries lost their payload and become dead letters.',
  'retention.failed': 'A part of retention could not be done and will be tried again.',
  'relay.sink.gapped': 'Retention has dropped `events` in all that this sink had not read.',
  'relay.started':
    'This replica has the lease and feeds the sinks; for each, whether from the WAL or the table.',
  'relay.lease.acquired': 'This replica has got a lease; `sink` * is the reader of the WAL.',
  'relay.lease.released': 'This replica has given a lease back.',
  'relay.lease.lost': 'A lease could not be renewed in time, or another replica has it; its work was ended.',
  'relay.lease.trouble': 'A lease could not be looked after; it is tried again.',
  'relay.standby': 'Another replica has the lease; this one waits for it.',
  'relay.slot.creating': 'The replication slot is being made: that waits for every open transaction.',
  'relay.slot.created': 'The replication slot was created.',
  'relay.slot.ahead':
    'The slot was made anew, or moved by somebody, beyond what `sink` has stored; the sink goes on from the table.',
  'relay.slot.lost':
    'The slot was dropped or invalidated, or cannot be read because its publication was missing: `reason` says which. A new one is made, and sinks go on from the table meanwhile.',
  'relay.slot.reader.ended':
    'Another connection (`pid`, `applicationName`, `clientAddress`, `since`) read the slot when this replica was to read it, and was told to end; one that waits for its client to read is left to its wal_sender_timeout. Level info: a stale one of this relay, as at a takeover; level warn: not one of ours.',
  'relay.slot.contested':
    'Who reads the slot is none of ours, and comes back or may not be ended: it is left alone until the slot is free, or for `pauseMs`; sinks go on from the table meanwhile.',
  'relay.slot.foreign':
    'The slot of this name is of another database, physical, or of another plugin: it is left alone, and sinks go on from the table until the name is free.',
  'relay.publication.unusable':
    'The publication is missing, or does not carry every event: sinks are fed from the table until it does.',
  'relay.slot.unbounded': 'max_slot_wal_keep_size is unlimited: a stopped relay can fill the disk.',
  'relay.cluster.adopted':
    'The checkpoints were written for another cluster; rows up to `floorSeq` came with the dump.',
  'relay.timeline.changed':
    'The server is another one than before: a standby was promoted, or a backup restored. What `sink` was given after `since` may not be in this database.',
  'relay.reconnecting': 'The database failed the relay; it tries again after `delayMs`.',
  'relay.sink.joined': 'A sink has caught up and is fed from the WAL.',
  'relay.sink.left': 'A sink is fed from the table from now on; `reason` is slow, behind or paused.',
  'relay.sink.adopted': 'A sink has read what came from the other cluster.',
  'relay.sink.retry':
    'A sink did not take a batch, or turned events of it away; they are handed over again after `delayMs`.',
  'relay.sink.rewound':
    'A sink goes on from an earlier place, as an operator asked: after `snapshot`, in the table.',
  'relay.replay.begun': 'A replay hands its events to the sink, or goes on with them.',
  'relay.replay.finished': 'Everything of a replay that falls to this replica was handed over.',
  'relay.replay.failed': 'A replay could not go on; it is tried again from where it was.',
  'relay.sink.rejected': 'A sink refused an event for good.',
  'relay.checkpoint.failed':
    'A checkpoint could not be written; events since the last one may be handed over again.',
  'sink.file.torn':
    'A half-written last line, left by a crash, was cut off a file; its event is written again.',
  'sink.nats.concern':
    'The stream of a sink has a property by which events may be lost, be there twice or be slow: `property`, what was `found`, the `danger`.',
  'relay.letters.parked': 'An event waits as a dead letter behind an earlier one of its entity.',
  'relay.letters.redriven': 'A sink has taken so many `letters` that were dead.',
  'relay.redrive.failed':
    'Dead letters could not be read or removed; it is tried again after `delayMs`, and what was delivered may be handed over again.',
  'letters.discarded':
    'Somebody (`by`) has deleted `letters` dead letters for good, for a `reason`; `redriving` of them were under way.',
  'webhook.delivered': 'An endpoint took an event.',
  'webhook.retrying': 'An endpoint did not take an event; it is tried again.',
  'webhook.dead': 'An event is in the dead letters: its retries are used up, or it can never be delivered.',
  'webhook.cycle.failed': 'A round of the deliverer failed as a whole and is repeated.',
} as const;

/** The name of an event that is logged. */
export type LogEvent = keyof typeof logEvents;
