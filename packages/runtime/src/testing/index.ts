export { freePort } from '../internal/free-port.ts';
export { EmbeddedPostgres, type EmbeddedPostgresOptions, type StandbyOptions } from './embedded-postgres.ts';
export { createMigratedDatabase, type MigratedDatabase } from './migrated-database.ts';
export { NatsCluster, type NatsClusterOptions } from './nats-cluster.ts';
export { NatsServer, type NatsServerOptions } from './nats-server.ts';
export { NatsStreamWatch } from './nats-stream-watch.ts';
export {
  countNatsMessages,
  limitNatsMessages,
  type ReceivedMessage,
  readNatsStream,
} from './read-nats-stream.ts';
export { type SeededRandom, seededRandom } from './seeded-random.ts';
export { type StressOptions, stressService } from './service-stress.ts';
export { sinkConformance } from './sink-conformance/sink-conformance.ts';
export type {
  ReceivedEvent,
  SinkCase,
  SinkConformanceOptions,
  SinkSite,
} from './sink-conformance/sink-site.ts';
export {
  SupervisedProcess,
  type SupervisedProcessOptions,
  type UnaskedEnd,
} from './supervised-process.ts';
export { createTestDatabase, type TestDatabase } from './test-database.ts';
