import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMigratedDatabase } from '@event-runtime/runtime/testing';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { codeBlocks } from '../../../../scripts/docs/markdown.ts';

const pages = join(import.meta.dirname, '../../../../docs/operations');

/** Queries that an operator is told to look with: all that only read, by the page that they stand on. */
function documented(): Array<readonly [page: string, query: string]> {
  return readdirSync(pages)
    .filter((page) => page.endsWith('.md'))
    .flatMap((page) =>
      codeBlocks(readFileSync(join(pages, page), 'utf8'), 'sql')
        .filter((block) => block.startsWith('select '))
        .map((block) => [page, block] as const),
    );
}

/** What PostgreSQL has had since a version; before, the chapter does not concern the server. */
const since: ReadonlyArray<readonly [RegExp, number]> = [
  [/synchronized_standby_slots|\bsynced\b|invalidation_reason/, 17],
];

test.each(['15', '18'] as const)(
  'the queries of the operations pages run as they stand, by the role that the pages make, PostgreSQL %s',
  async (major) => {
    const queries = documented();
    expect(queries.length).toBeGreaterThan(12);
    expect(new Set(queries.map(([page]) => page)).size).toBeGreaterThan(3);
    await using database = await createMigratedDatabase(inject('postgres')[major]);
    const role = `app_${database.name}`;
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    try {
      await client.query(
        `create role ${role} login; grant event_runtime_service, event_runtime_owner to ${role}; set role ${role}`,
      );
      const failed: string[] = [];
      for (const [page, query] of queries) {
        if (since.some(([pattern, first]) => pattern.test(query) && Number(major) < first)) continue;
        await client
          .query(query)
          .catch((cause: unknown) => failed.push(`${page}: ${String(cause)}: ${query}`));
      }
      expect(failed).toEqual([]);
    } finally {
      await client.query(`reset role; drop role if exists ${role}`);
      await client.end();
    }
  },
);
