import { AssertionError } from 'node:assert';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { aborted, orAborted } from '../../internal/or-aborted.ts';
import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { DeliverOptions, Sink } from '../../sinks/sink.ts';
import { checkReceived } from './checks.ts';
import { ConformanceEvents } from './conformance-events.ts';
import { type Answer, deliverTo, type Handover, handOver } from './handover.ts';
import type { ReceivedEvent, SinkCase, SinkConformanceOptions, SinkSite } from './sink-site.ts';

/** So long something is given to come that must not come. */
const lateMs = 30;

/** Into so many pieces a flight's time is cut: a machine that stands still takes one of them, not all. */
const flightPieces = 10;

/** What the body of a case works with. */
export class CaseRun {
  readonly make: ConformanceEvents = new ConformanceEvents();
  readonly site: SinkSite;
  readonly options: SinkConformanceOptions;
  readonly #sinks: Sink[] = [];
  readonly #ended = new Set<Sink>();

  constructor(site: SinkSite, options: SinkConformanceOptions) {
    this.site = site;
    this.options = options;
  }

  get patienceMs(): number {
    return this.options.patienceMs ?? 30_000;
  }

  /** A new sink, disposed when the case ends. */
  async open(): Promise<Sink> {
    const sink = await this.site.open();
    this.#sinks.push(sink);
    return sink;
  }

  /** Hands over until all is delivered or rejected. @throws AssertionError: also when that takes too long */
  async handOver(sink: Sink, events: readonly LoggedEvent[], batch = 100): Promise<Handover> {
    const limitMs = this.patienceMs * 2;
    const signal = AbortSignal.timeout(limitMs);
    let cause: unknown;
    const handing = handOver(sink, events, { signal, batch, onFailure: (error) => (cause = error) });
    const message = `not all events are delivered or rejected within ${limitMs} ms`;
    try {
      const outcome = await orAborted(handing, signal);
      if (outcome !== aborted) return outcome;
    } catch (error) {
      if (error instanceof AssertionError || !signal.aborted) throw error;
    }
    throw Object.assign(new AssertionError({ message }), { cause });
  }

  /** Hands one batch over. @throws AssertionError: the answer is none, or takes too long */
  async deliver(sink: Sink, events: readonly LoggedEvent[], options: DeliverOptions): Promise<Answer> {
    return await this.soon('a batch', deliverTo(sink, events, options));
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

  /** Waits until what was sent is there. @returns how many are; none where the sink keeps nothing */
  async countAfterFlight(): Promise<number> {
    const { flightMs = 0 } = this.options;
    // Not even a turn where there is nothing to wait for: what comes in it would be counted as sent before.
    const pieces = flightMs > 0 ? flightPieces : 0;
    for (let piece = 0; piece < pieces; piece += 1) await sleep(flightMs / pieces);
    return (await this.received()).length;
  }

  /** From a time at which so many were there, nothing more has come, nor comes. @throws AssertionError */
  async expectNoMore(count: number, since: string): Promise<void> {
    await sleep(lateMs);
    const more = (await this.countAfterFlight()) - count;
    const { flightMs = 0 } = this.options;
    assert.equal(more, 0, `${more} events came to the destination more than ${flightMs} ms after ${since}`);
  }

  /** Exactly these events are at the destination. Asks nothing of a sink that keeps nothing. */
  async expectReceived(events: readonly LoggedEvent[]): Promise<void> {
    if (this.site.received === undefined) return;
    checkReceived(await this.site.received(), { events, features: this.options.features });
  }

  async end(sink: Sink): Promise<void> {
    this.#ended.add(sink);
    await this.soon('disposing the sink', Promise.resolve(sink[Symbol.asyncDispose]()));
  }

  hasEnded(sink: Sink): boolean {
    return this.#ended.has(sink);
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
      checkSite(site, options);
      const run = new CaseRun(site, options);
      try {
        await body(run);
      } finally {
        await run.dispose();
      }
    },
  };
}

/** Nothing is left out by accident. @throws AssertionError */
function checkSite(site: SinkSite, { without = [], features }: SinkConformanceOptions): void {
  assert.equal(site.received === undefined, without.includes('received'), "the site's received()");
  assert.equal(site.outage === undefined, without.includes('outage'), "the site's outage");
  if (site.outage !== undefined) {
    const { freeze, thaw } = site.outage;
    assert.equal(freeze === undefined, without.includes('freeze'), "the site's freeze()");
    assert.equal(freeze === undefined, thaw === undefined, "the site's thaw()");
  }
  if (features.maxPayloadBytes === undefined || site.poison !== undefined) {
    assert.equal(site.poison === undefined, without.includes('poison'), "the site's poison()");
  }
}
