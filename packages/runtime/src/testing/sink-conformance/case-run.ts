import { AssertionError } from 'node:assert';
import assert from 'node:assert/strict';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Sink } from '../../sinks/sink.ts';
import { checkReceived } from './checks.ts';
import { ConformanceEvents } from './conformance-events.ts';
import { type Handover, handOver } from './handover.ts';
import type { ReceivedEvent, SinkCase, SinkConformanceOptions, SinkSite } from './sink-site.ts';

/** What the body of a case works with. */
export class CaseRun {
  readonly make: ConformanceEvents = new ConformanceEvents();
  readonly site: SinkSite;
  readonly options: SinkConformanceOptions;
  readonly #sinks: Sink[] = [];

  constructor(site: SinkSite, options: SinkConformanceOptions) {
    this.site = site;
    this.options = options;
  }

  get patienceMs(): number {
    return this.options.patienceMs ?? 15_000;
  }

  /** A new sink, disposed when the case ends. */
  async open(): Promise<Sink> {
    const sink = await this.site.open();
    this.#sinks.push(sink);
    return sink;
  }

  /** Hands over until all is delivered or rejected. */
  async handOver(sink: Sink, events: readonly LoggedEvent[], batch = 100): Promise<Handover> {
    const signal = AbortSignal.timeout(this.patienceMs * 4);
    return await handOver(sink, events, { signal, batch });
  }

  /** @throws AssertionError: it takes too long */
  async soon<T>(what: string, promise: Promise<T>): Promise<T> {
    const outcome = await orAborted(promise, AbortSignal.timeout(this.patienceMs));
    if (outcome !== aborted) return outcome;
    throw new AssertionError({ message: `${what} takes more than ${this.patienceMs} ms` });
  }

  /** Nothing where the sink keeps nothing. */
  async received(): Promise<readonly ReceivedEvent[]> {
    return (await this.site.received?.()) ?? [];
  }

  /** Exactly these events are at the destination. Asks nothing of a sink that keeps nothing. */
  async expectReceived(events: readonly LoggedEvent[]): Promise<void> {
    if (this.site.received === undefined) return;
    checkReceived(await this.site.received(), { events, features: this.options.features });
  }

  async end(sink: Sink): Promise<void> {
    await this.soon('disposing the sink', Promise.resolve(sink[Symbol.asyncDispose]()));
  }

  async dispose(): Promise<void> {
    for (const sink of this.#sinks) await this.end(sink);
  }
}

/** A case on a destination of its own. */
export function sinkCase(
  options: SinkConformanceOptions,
  name: string,
  body: (run: CaseRun) => Promise<void>,
): SinkCase {
  return {
    name,
    run: async () => {
      await using site = await options.create();
      const without = options.without ?? [];
      assert.equal(site.received === undefined, without.includes('received'), "the site's received()");
      assert.equal(site.outage === undefined, without.includes('outage'), "the site's outage");
      const run = new CaseRun(site, options);
      try {
        await body(run);
      } finally {
        await run.dispose();
      }
    },
  };
}
