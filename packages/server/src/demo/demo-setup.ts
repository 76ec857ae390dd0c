import type { RelayUnderTest } from './relay-under-test.ts';

/** A customer's endpoint at the demo's receiver. */
export interface DemoEndpoint {
  readonly tenant: string;
  readonly url: string;
  /** Standard Webhooks secret, `whsec_` and base64. */
  readonly secret: string;
}

/** Where the relay is to send the events. */
export type DemoDestination =
  | {
      readonly type: 'webhooks';
      /** One for each tenant; each wants all events of its tenant, in order per entity. */
      readonly endpoints: readonly DemoEndpoint[];
    }
  | {
      readonly type: 'nats';
      /** Like `nats://127.0.0.1:4222`. */
      readonly server: string;
      /** The stream, which the relay makes: every event, under `events.<tenant>.<type>`. */
      readonly stream: string;
      /** For the relay's configuration; removed with the server, however this process ends. */
      readonly folder: string;
    };

/** Where the demo runs. */
export interface DemoSite {
  /** A database of its own, which is empty; connection string of a role that may do everything in it. */
  readonly databaseUrl: string;
  readonly destination: DemoDestination;
}

/**
 * What the demo shows, as far as it must be put in place: the seam between the harness, which knows only
 * `event_runtime.emit` and what a customer or a consumer sees, and the product.
 */
export interface DemoSetup {
  /** Name of the replication slot that the relay reads. */
  readonly slot: string;
  /** Migrates the database and configures the destination. The relay does not run yet. */
  prepare(site: DemoSite, options: { readonly signal: AbortSignal }): Promise<void>;
  /**
   * Makes the relay; the harness starts it.
   *
   * @param options.onFailure to be called when the relay cannot go on
   */
  relay(site: DemoSite, options: { readonly onFailure: (error: Error) => void }): RelayUnderTest;
}
