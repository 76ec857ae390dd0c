import type pg from 'pg';
import { emitStatement } from '../../packages/outbox/src/emit/emit-statement.ts';
import { type Claim, claimApproved, outboxOf, tenant } from './event.ts';

/** Writes one event in the transaction that is open on the client. */
export type Writer = (client: pg.Client, claim: Claim, key: string | undefined) => Promise<void>;

/** The product: `emit` of `@event-runtime/outbox`. */
export function emitWriter(source: string): Writer {
  const outbox = outboxOf(source);
  return async (client, claim, key) => {
    const { duplicate } = await outbox.emit(client, claimApproved, claim, {
      tenant,
      ...(key === undefined ? {} : { idempotencyKey: key }),
    });
    if (duplicate) throw new Error('a new key was a duplicate');
  };
}

/** The statement that the product sends, without the product: no validation, no checks. */
export function rawEmitWriter(source: string): Writer {
  return async (client, claim, key) => {
    const statement = emitStatement(
      {
        eventType: claimApproved.type,
        payload: JSON.stringify(claim),
        tenant,
        entityKey: claim.claimId,
        ecosystem: null,
        eventVersion: '1',
        idempotencyKey: key ?? null,
        correlationId: null,
        causationId: null,
        source,
        traceparent: null,
        headers: null,
      },
      false,
    );
    await client.query(statement.text, [...statement.values]);
  };
}

/**
 * A hand-written INSERT, sent as `pg` sends any statement with parameters.
 *
 * @param how `name` makes it a prepared statement of the connection
 */
export function insertWriter(
  source: string,
  how: { readonly table: 'plain_outbox' | 'unique_outbox'; readonly name?: string },
): Writer {
  const conflict = how.table === 'unique_outbox' ? 'on conflict (tenant_id, idempotency_key) do nothing' : '';
  const text = `insert into ${how.table}
  (tenant_id, event_type, event_version, entity_key, idempotency_key, source_service, payload)
values ($1, $2, $3, $4, $5, $6, $7) ${conflict} returning event_id`;
  return async (client, claim, key) => {
    const { rowCount } = await client.query({
      text,
      values: [tenant, claimApproved.type, 1, claim.claimId, key ?? null, source, JSON.stringify(claim)],
      ...(how.name === undefined ? {} : { name: how.name }),
    });
    if (rowCount !== 1) throw new Error('a new key was a duplicate');
  };
}

/** The key in a table of its own, as a key over days needs it, still in one round trip. */
export function insertWithKeyTableWriter(source: string): Writer {
  const text = `with claimed as (
  insert into plain_key (tenant_id, idempotency_key, event_id, recorded_at)
  values ($1, $5, uuidv7(), clock_timestamp())
  on conflict (tenant_id, idempotency_key) do nothing
  returning event_id, recorded_at
)
insert into plain_outbox (event_id, tenant_id, event_type, event_version, entity_key, idempotency_key,
  source_service, payload, recorded_at)
select c.event_id, $1, $2, $3, $4, $5, $6, $7, c.recorded_at from claimed c
returning event_id`;
  return async (client, claim, key) => {
    const { rowCount } = await client.query(text, [
      ...[tenant, claimApproved.type, 1, claim.claimId, key ?? null, source, JSON.stringify(claim)],
    ]);
    if (rowCount !== 1) throw new Error('a new key was a duplicate');
  };
}
