import type { DeliveryResult, Endpoints, Sink, SinkBatch, SinkFeatures } from '@event-runtime/runtime';
import type pg from 'pg';
import { serverError } from '../server-error.ts';
import { type EchoReceiver, echoPath } from './echo-receiver.ts';

/**
 * Makes an endpoint at the echo receiver for every tenant whose events come by, before they are fanned
 * out: in `dev` nobody wants to set one up first.
 */
export class TenantEndpoints {
  readonly #endpoints: Endpoints;
  readonly #receiver: EchoReceiver;
  readonly #made = new Map<string, string>();

  constructor(options: { readonly endpoints: Endpoints; readonly receiver: EchoReceiver }) {
    this.#endpoints = options.endpoints;
    this.#receiver = options.receiver;
  }

  /**
   * Removes what a run of `dev` that was killed left behind.
   *
   * @throws ER5006 there are other endpoints: real ones
   */
  static async clear(pool: pg.Pool): Promise<void> {
    await pool.query('delete from event_runtime.webhook_endpoint where url like $1', [
      `http://127.0.0.1:%${echoPath}%`,
    ]);
    const { rows } = await pool.query<{ others: number }>(
      'select count(*)::int as others from event_runtime.webhook_endpoint',
    );
    const others = rows[0]?.others ?? 0;
    if (others > 0) throw serverError('ER5006', { detail: `There are ${others}.` });
  }

  /** The sink, with the endpoints made first. */
  before(sink: Sink): Sink {
    return new SinkAfterEndpoints(sink, this);
  }

  async ensure(tenantId: string): Promise<void> {
    if (this.#made.has(tenantId)) return;
    const url = this.#receiver.urlFor(tenantId);
    const { endpointId, secret } = await this.#endpoints.create({ tenantId, url, eventTypes: ['*'] });
    this.#made.set(tenantId, endpointId);
    this.#receiver.expect(tenantId, secret);
  }

  /** Takes the endpoints away again. */
  async remove(): Promise<void> {
    for (const [tenantId, endpointId] of this.#made) await this.#endpoints.remove({ tenantId, endpointId });
  }
}

class SinkAfterEndpoints implements Sink {
  readonly name: string;
  readonly features: SinkFeatures;
  readonly #sink: Sink;
  readonly #endpoints: TenantEndpoints;

  constructor(sink: Sink, endpoints: TenantEndpoints) {
    this.name = sink.name;
    this.features = sink.features;
    this.#sink = sink;
    this.#endpoints = endpoints;
  }

  async deliver(
    batch: SinkBatch,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]> {
    for (const { event } of batch.events) await this.#endpoints.ensure(event.tenantId);
    return await this.#sink.deliver(batch, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink[Symbol.asyncDispose]();
  }
}
