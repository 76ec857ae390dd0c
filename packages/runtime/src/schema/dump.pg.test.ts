import { describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase } from '../testing/migrated-database.ts';
import { dumpSchema } from './dump.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  // After a migration was added: `npx vitest run --project pg packages/runtime/src/schema/dump --update`.
  test('the committed dump is what the migrations make', async () => {
    await using database = await createMigratedDatabase(inject('postgres')[major]);
    await expect(await dumpSchema(database.url)).toMatchFileSnapshot('../../migrations/schema.dump.txt');
  });
});
