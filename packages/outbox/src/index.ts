export { type DrizzleSql, type DrizzleTransaction, fromDrizzle } from './adapters/drizzle.ts';
export { fromPg, type PgTransaction } from './adapters/pg.ts';
export { fromPrisma, type PrismaTransaction } from './adapters/prisma.ts';
export type { Row, Statement, TransactionAdapter } from './adapters/transaction-adapter.ts';
export { type CatalogFinding, checkCatalog } from './catalog/check-catalog.ts';
export { type Catalog, defineCatalog, type EventOf } from './catalog/define-catalog.ts';
export {
  defineEvent,
  type EventDeclaration,
  type EventDefinition,
  type PiiPath,
} from './catalog/define-event.ts';
export type {
  InputOf,
  OutputOf,
  SchemaIssue,
  SchemaResult,
  StandardSchema,
} from './catalog/standard-schema.ts';
export { createOutbox, type Emission, type Outbox, type OutboxOptions } from './emit/create-outbox.ts';
export type {
  CallOptions,
  EmitManyOptions,
  EmitOptions,
  EmitResult,
  EventOptions,
} from './emit/emit-options.ts';
export {
  type CodedErrorOptions,
  type ErrorCatalog,
  type ErrorEntry,
  EventRuntimeError,
  errorFactory,
  isEventRuntimeError,
} from './errors/coded-error.ts';
export { producerErrors, receiverErrors } from './errors/codes.ts';
export { type VerifiedWebhook, type VerifyWebhookOptions, verifyWebhook } from './verify/verify-webhook.ts';
export type { WebhookHeaders } from './verify/webhook-headers.ts';
