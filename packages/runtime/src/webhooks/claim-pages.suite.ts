import { randomUUID } from 'node:crypto';
import { claimSql, planForClaim } from './delivery-sql.ts';
import type { WebhookFixture } from './webhook-fixture.suite.ts';

/** Pages that a claim looks at, by EXPLAIN of the claiming statement; nothing is claimed. */
export async function pagesOfClaim(fixture: WebhookFixture): Promise<number> {
  const values = [`'${randomUUID()}'`, '100', `'{}'::uuid[]`, '100', '1000000', '60000'];
  const claim = claimSql.replaceAll(/\$(\d)/g, (_, number: string) => values[Number(number) - 1] ?? '');
  const client = await fixture.pool.connect();
  try {
    await client.query(`begin; ${planForClaim}`);
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      `explain (analyze, buffers, costs off, timing off, format json) ${claim}`,
    );
    await client.query('rollback');
    const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
    return (plan['Shared Hit Blocks'] ?? Number.NaN) + (plan['Shared Read Blocks'] ?? Number.NaN);
  } finally {
    client.release();
  }
}
