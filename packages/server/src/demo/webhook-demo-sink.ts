import { randomBytes } from 'node:crypto';
import type { DemoDestination } from './demo-setup.ts';
import type { DemoSink } from './demo-sink.ts';
import type { Arrivals } from './received-events.ts';
import { Receiver } from './receiver.ts';

export interface WebhookDemoSinkOptions {
  readonly tenants: readonly string[];
  /** How many of a hundred events are answered 503 at first. */
  readonly refusePercent: number;
}

/** The customers' endpoints: one for each tenant, each with a secret of its own. */
export class WebhookDemoSink implements DemoSink {
  readonly destination: DemoDestination;
  readonly #receiver: Receiver;

  private constructor(receiver: Receiver, destination: DemoDestination) {
    this.#receiver = receiver;
    this.destination = destination;
  }

  static async start({ tenants, refusePercent }: WebhookDemoSinkOptions): Promise<WebhookDemoSink> {
    const secrets = tenants.map((tenant) => ({
      tenant,
      secret: `whsec_${randomBytes(32).toString('base64')}`,
    }));
    const receiver = await Receiver.start({ endpoints: secrets, refusePercent });
    const endpoints = secrets.map((endpoint) => ({ ...endpoint, url: receiver.urlFor(endpoint.tenant) }));
    return new WebhookDemoSink(receiver, { type: 'webhooks', endpoints });
  }

  get distinct(): number {
    return this.#receiver.distinct;
  }

  has(eventId: string): boolean {
    return this.#receiver.has(eventId);
  }

  get lastAt(): number {
    return this.#receiver.lastAt;
  }

  async arrivals(): Promise<Arrivals> {
    const { received, refusedSignatures } = this.#receiver;
    return { received, refusedSignatures };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiver[Symbol.asyncDispose]();
  }
}
