export { type CancelledRedrive, cancelRedrive, planCancel } from './dead-letters/cancel.ts';
export type { LettersProgress } from './dead-letters/chunks.ts';
export {
  type Discarded,
  type DiscardOptions,
  discardDeadLetters,
  planDiscard,
} from './dead-letters/discard.ts';
export {
  type DeadLetter,
  type DeadLetterGroup,
  listDeadLetterGroups,
  listDeadLetters,
  showDeadLetter,
  type WholeDeadLetter,
} from './dead-letters/list.ts';
export { type RedriveObstacles, redriveObstacles } from './dead-letters/obstacles.ts';
export {
  planRedrive,
  type RedrivePlan,
  type RedriveProgress,
  type RequestedRedrive,
  redriveProgress,
  requestRedrive,
} from './dead-letters/redrive.ts';
export type { DeadLetterSelection } from './dead-letters/selection.ts';
export { runtimeErrors } from './errors/codes.ts';
export { CuttablePool } from './internal/cuttable-pool.ts';
export { instantForms, parseInstant } from './internal/instant.ts';
export { unreachable } from './internal/unreachable.ts';
export { type RunContext, Service, type ServiceState, type StopOptions } from './lifecycle/service.ts';
export { Supervisor } from './lifecycle/supervisor.ts';
export { type CheckpointOwner, forgetCheckpoints } from './log/checkpoint.ts';
export { findEvent } from './log/find-event.ts';
export type { LoggedEvent, OutboxEvent, Position } from './log/outbox-event.ts';
export type { WaitingEvent } from './relay/feed/dispatcher.ts';
export { describeForeignRows, type ForeignRows } from './relay/foreign-rows.ts';
export type { SinkStatus, WindowUse } from './relay/lead.ts';
export { Leased, type LeasedOptions } from './relay/lease/leased.ts';
export { Relay, type RelayActivity, type RelayOptions, type SinkSource } from './relay/relay.ts';
export {
  createReplay,
  getReplay,
  listReplays,
  previewReplay,
  type Replay,
  type ReplayOptions,
  type ReplayPreview,
  type ReplayState,
  setReplayState,
} from './relay/replay/replay-jobs.ts';
export type { ReplayWait } from './relay/replay/replay-waits.ts';
export type { ReplaySelection } from './relay/replay/selection.ts';
export {
  type LeaseReport,
  type RelayReport,
  type RelayReportOptions,
  type ReplayReport,
  relayReport,
  type ServerReport,
  type SinkReport,
  type SlotCondition,
  type SlotReport,
} from './relay/report/relay-report.ts';
export { Retention } from './relay/retention/retention.ts';
export type { Archive, ExpiredPartition, RetentionOptions } from './relay/retention/retention-options.ts';
export { type Glob, type RoutableEvent, type Route, RoutesTo, type Routing } from './relay/route.ts';
export {
  type SinkPause,
  type SinkPauseOptions,
  setSinkPaused,
  sinkPauses,
} from './relay/sink-pause.ts';
export {
  previewRewind,
  rewindSink,
  type SinkRewind,
  type SinkRewindOptions,
} from './relay/sink-rewind.ts';
export { describePublication, type Publication } from './relay/slot/publication.ts';
export {
  createSlot,
  type DropSlotOptions,
  describeSlot,
  dropSlot,
  refuseForeignSlot,
  type SlotState,
} from './replication/slot.ts';
export { createSlotAt, type SlotCreationOptions } from './replication/slot-creation.ts';
export { readerText, type SlotReader } from './replication/slot-reader.ts';
export {
  type AttachmentPlan,
  type AttachmentRequest,
  attachTable,
  detachTable,
  findAttached,
  planAttachment,
} from './schema/attached/attach.ts';
export { type AttachedTable, attachedTables } from './schema/attached/attached-tables.ts';
export { detachmentSql } from './schema/attached/attachment-sql.ts';
export { type FieldSource, type Mapping, parseMapping } from './schema/attached/mapping.ts';
export type { TablePreset } from './schema/attached/presets.ts';
export { inShortTransaction, type LockPatience } from './schema/attached/short-transaction.ts';
export {
  connectDirect,
  type DirectConnection,
  type DirectConnectionOptions,
} from './schema/direct-connection.ts';
export {
  type MigrateOptions,
  type MigrateResult,
  type MigrationProgress,
  migrate,
  planMigrations,
  type SchemaStatus,
  schemaStatus,
} from './schema/migrator.ts';
export { PartitionUpkeep, type PartitionUpkeepOptions } from './schema/partition-upkeep.ts';
export {
  type EnsurePartitionsOptions,
  ensurePartitions,
  type PartitionReport,
} from './schema/partitioner.ts';
export { ConsumerSink, type ConsumerSinkOptions } from './sinks/consumer/consumer-sink.ts';
export type { FileSinkEntry } from './sinks/file/event-line.ts';
export { FileSink, type FileSinkOptions } from './sinks/file/file-sink.ts';
export { readFileSink } from './sinks/file/read-file-sink.ts';
export { MemorySink, type MemorySinkOptions } from './sinks/memory/memory-sink.ts';
export type { NatsAccess } from './sinks/nats/nats-access.ts';
export { NatsSink, type NatsSinkOptions } from './sinks/nats/nats-sink.ts';
export type { StreamConcern, StreamOptions, StreamReport } from './sinks/nats/stream.ts';
export { covers, defaultSubject, SubjectTemplate } from './sinks/nats/subject-template.ts';
export { NullSink, type NullSinkOptions } from './sinks/null/null-sink.ts';
export { OpenedOnUse, type OpenedOnUseOptions } from './sinks/opened-on-use.ts';
export type {
  DeliverOptions,
  DeliveryResult,
  HandedEvent,
  Sink,
  SinkBatch,
  SinkFeatures,
} from './sinks/sink.ts';
export { Exposition } from './telemetry/exposition.ts';
export { logEvents } from './telemetry/log-events.ts';
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './telemetry/logger.ts';
export { type MetricLabel, type MetricName, metrics } from './telemetry/metrics.ts';
export { Deliverer } from './webhooks/deliverer.ts';
export type { DelivererOptions } from './webhooks/deliverer-options.ts';
export type {
  AttemptObservation,
  CycleFailure,
  DeliveryObservation,
} from './webhooks/delivery-observation.ts';
export { DeliveryQueue } from './webhooks/delivery-queue.ts';
export { EgressGuard, type EgressGuardOptions } from './webhooks/egress-guard.ts';
export { type Endpoint, Endpoints, type NewEndpoint, type Ordering } from './webhooks/endpoints.ts';
export { WebhookSink, type WebhookSinkOptions } from './webhooks/fan-out.ts';
export { SecretBox } from './webhooks/secret-box.ts';
