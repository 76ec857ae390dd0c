import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { runtimeError } from '../errors/codes.ts';
import type { EgressGuard } from './egress-guard.ts';
import type { SecretBox } from './secret-box.ts';
import { newSecret, secretBytes } from './signature.ts';
import { transaction } from './transaction.ts';

/**
 * What order an endpoint is promised: per entity (a failing event holds back only its own entity), over the
 * whole endpoint (a failing event holds back everything after it), or none.
 */
export type Ordering = 'entity' | 'endpoint' | 'none';

/** An endpoint as it is shown; its secret is not. */
export interface Endpoint {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly url: string;
  readonly ordering: Ordering;
  readonly state: 'enabled' | 'disabled';
  readonly disabledReason: string | null;
  /** Event types it takes; `*` stands for any run of characters. */
  readonly eventTypes: readonly string[];
}

export interface NewEndpoint {
  readonly tenantId: string;
  readonly url: string;
  /** Event types to take, at least one: `*`, `github.*`, `claim.approved`. At most three `*` in each. */
  readonly eventTypes: readonly string[];
  /** Default `entity`. */
  readonly ordering?: Ordering;
  /** `whsec_…`. Default: a new random one. */
  readonly secret?: string;
  readonly signal?: AbortSignal;
}

export interface EndpointsOptions {
  readonly pool: pg.Pool;
  readonly secretBox: SecretBox;
  readonly guard: EgressGuard;
}

/** The customers' endpoints: made, listed, disabled and enabled again. The pool stays its owner's. */
export class Endpoints {
  readonly #pool: pg.Pool;
  readonly #secretBox: SecretBox;
  readonly #guard: EgressGuard;

  constructor(options: EndpointsOptions) {
    this.#pool = options.pool;
    this.#secretBox = options.secretBox;
    this.#guard = options.guard;
  }

  /**
   * Makes an endpoint, and its tenant's application if there is none yet. The secret is returned here and
   * nowhere else.
   *
   * @throws ER4001, ER4002 the URL · ER4003 the secret · ER5001 an event type
   */
  async create(endpoint: NewEndpoint): Promise<{ readonly endpointId: string; readonly secret: string }> {
    const url = this.#guard.checkUrl(endpoint.url);
    const secret = endpoint.secret ?? newSecret();
    secretBytes(secret);
    const eventTypes = checkedEventTypes(endpoint.eventTypes);
    const endpointId = randomUUID();
    await transaction(
      this.#pool,
      async (client) => {
        const applicationId = await this.#application(client, endpoint.tenantId);
        await client.query(
          `insert into event_runtime.webhook_endpoint
             (endpoint_id, tenant_id, application_id, url, ordering, secret)
           values ($1, $2, $3, $4, $5, $6)`,
          [
            endpointId,
            endpoint.tenantId,
            applicationId,
            url.href,
            endpoint.ordering ?? 'entity',
            this.#secretBox.seal(secret, { endpointId }),
          ],
        );
        await client.query(
          `insert into event_runtime.webhook_subscriptions (endpoint_id, tenant_id, event_type)
           select $1, $2, event_type from unnest($3::text[]) as event_type`,
          [endpointId, endpoint.tenantId, eventTypes],
        );
      },
      // Deliveries do not wait for it.
      { signal: endpoint.signal, stoppedMs: 10_000 },
    );
    return { endpointId, secret };
  }

  /** A tenant's endpoints, the oldest first. */
  async list(query: { readonly tenantId: string; readonly signal?: AbortSignal }): Promise<Endpoint[]> {
    query.signal?.throwIfAborted();
    const result = await this.#pool.query<{
      endpoint_id: string;
      url: string;
      ordering: Ordering;
      state: 'enabled' | 'disabled';
      disabled_reason: string | null;
      event_types: string[];
    }>(
      `select e.endpoint_id, e.url, e.ordering, e.state, e.disabled_reason,
              array(select s.event_type from event_runtime.webhook_subscriptions as s
                    where s.endpoint_id = e.endpoint_id order by s.event_type) as event_types
       from event_runtime.webhook_endpoint as e
       where e.tenant_id = $1
       order by e.created_at, e.endpoint_id`,
      [query.tenantId],
    );
    return result.rows.map((row) => ({
      endpointId: row.endpoint_id,
      tenantId: query.tenantId,
      url: row.url,
      ordering: row.ordering,
      state: row.state,
      disabledReason: row.disabled_reason,
      eventTypes: row.event_types,
    }));
  }

  /**
   * Stops deliveries to an endpoint: events that come later are not fanned out to it, what is pending waits.
   * Requests under way are finished. False if the tenant has no such endpoint.
   */
  async disable(which: {
    readonly tenantId: string;
    readonly endpointId: string;
    readonly reason: string;
    readonly signal?: AbortSignal;
  }): Promise<boolean> {
    return await this.#setState({ ...which, state: 'disabled' });
  }

  /** Resumes deliveries, with what was pending first. False if the tenant has no such endpoint. */
  async enable(which: {
    readonly tenantId: string;
    readonly endpointId: string;
    readonly signal?: AbortSignal;
  }): Promise<boolean> {
    return await this.#setState({ ...which, state: 'enabled', reason: null });
  }

  /** Removes an endpoint with its pending deliveries; attempts and dead letters stay. False if the tenant has no such endpoint. */
  async remove(which: {
    readonly tenantId: string;
    readonly endpointId: string;
    readonly signal?: AbortSignal;
  }): Promise<boolean> {
    which.signal?.throwIfAborted();
    const result = await this.#pool.query(
      `with letters as (
         update event_runtime.dead_letter set state = 'dead'
          where endpoint_id = $1 and tenant_id = $2 and state = 'redriving'
       )
       delete from event_runtime.webhook_endpoint where endpoint_id = $1 and tenant_id = $2`,
      [which.endpointId, which.tenantId],
    );
    return result.rowCount === 1;
  }

  async #setState(change: {
    readonly tenantId: string;
    readonly endpointId: string;
    readonly state: Endpoint['state'];
    readonly reason: string | null;
    readonly signal?: AbortSignal;
  }): Promise<boolean> {
    change.signal?.throwIfAborted();
    const result = await this.#pool.query(
      `update event_runtime.webhook_endpoint
       set state = $3, disabled_reason = $4, updated_at = clock_timestamp()
       where endpoint_id = $1 and tenant_id = $2`,
      [change.endpointId, change.tenantId, change.state, change.reason],
    );
    return result.rowCount === 1;
  }

  /** The tenant's application, made if there is none. The update that changes nothing makes `returning` answer. */
  async #application(client: pg.PoolClient, tenantId: string): Promise<string> {
    const result = await client.query<{ application_id: string }>(
      `insert into event_runtime.webhook_application (application_id, tenant_id, name)
       values ($1, $2, $2)
       on conflict (tenant_id) do update set name = webhook_application.name
       returning application_id`,
      [randomUUID(), tenantId],
    );
    const row = result.rows[0];
    if (row === undefined) throw new TypeError('no application was returned');
    return row.application_id;
  }
}

/** Few stars, because each one multiplies the work of a match, and patterns come from customers. */
function checkedEventTypes(eventTypes: readonly string[]): string[] {
  if (eventTypes.length === 0) {
    throw runtimeError('ER5001', { detail: 'An endpoint needs at least one event type; * takes all.' });
  }
  for (const pattern of eventTypes) {
    if (!/^[^\p{Cc}]{1,200}$/u.test(pattern) || pattern.split('*').length > 4) {
      throw runtimeError('ER5001', { detail: `Not an event type: ${JSON.stringify(pattern.slice(0, 60))}.` });
    }
  }
  return [...new Set(eventTypes)];
}
