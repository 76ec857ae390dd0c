export { EmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.ts';
export { createTestDatabase, type TestDatabase } from './test-database.ts';
