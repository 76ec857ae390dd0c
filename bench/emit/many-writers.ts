import type pg from 'pg';
import { type Claim, claimApproved, outboxOf, tenant } from './event.ts';

/** Writes many events in the transaction that is open on the client. */
export type ManyWriter = (client: pg.Client, claims: readonly Claim[]) => Promise<void>;

/** The product: `emitMany` of `@event-runtime/outbox`. */
export function emitManyWriter(source: string): ManyWriter {
  const outbox = outboxOf(source);
  return async (client, claims) => {
    await outbox.emitMany(
      client,
      claims.map((data) => ({ event: claimApproved, data })),
      { tenant },
    );
  };
}

const columns = 'tenant_id, event_type, event_version, entity_key, source_service, payload';

/** `insert ... values (...), (...)`: a placeholder for each value. */
export function insertValuesWriter(source: string): ManyWriter {
  return async (client, claims) => {
    const rows = claims.map(
      (_, row) => `(${Array.from({ length: 6 }, (__, column) => `$${row * 6 + column + 1}`).join(', ')})`,
    );
    const values = claims.flatMap((claim) => [
      ...[tenant, claimApproved.type, 1, claim.claimId, source, JSON.stringify(claim)],
    ]);
    await client.query(
      `insert into plain_outbox (${columns}) values ${rows.join(', ')} returning event_id`,
      values,
    );
  };
}

/** `insert ... select ... from unnest(...)`: two arrays, the rest once. */
export function insertUnnestWriter(source: string): ManyWriter {
  const text = `insert into plain_outbox (${columns})
select $1, $2, $3, u.entity_key, $4, u.payload from unnest($5::text[], $6::json[]) as u(entity_key, payload)
returning event_id`;
  return async (client, claims) => {
    await client.query(text, [
      tenant,
      claimApproved.type,
      1,
      source,
      claims.map((claim) => claim.claimId),
      claims.map((claim) => JSON.stringify(claim)),
    ]);
  };
}
