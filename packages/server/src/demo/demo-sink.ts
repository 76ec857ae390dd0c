import type { DemoDestination } from './demo-setup.ts';
import type { Arrivals } from './received-events.ts';

/** The customers of the sample application. */
export const demoTenants: readonly string[] = ['acme', 'globex', 'initech', 'umbrella'];

/** Where a demo can send its events. */
export type DemoSinkKind = 'webhooks' | 'nats';

/** The place that the events come to. It writes down what comes, and knows nothing of what was committed. */
export interface DemoSink extends AsyncDisposable {
  /** What the relay must be told of it. */
  readonly destination: DemoDestination;
  /** For people: which server it is; undefined where there is nothing to say. */
  readonly description?: string;
  /** How many different events have come, as far as is known now. */
  readonly distinct: number;
  /** Whether an event has come, as far as is known now. */
  has(eventId: string): boolean;
  /** `performance.now()` when something came last; 0 before the first. */
  readonly lastAt: number;
  /** All that came. Asked once, when nothing more can come. */
  arrivals(): Promise<Arrivals>;
}
