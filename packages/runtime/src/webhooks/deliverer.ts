import { setTimeout as sleep } from 'node:timers/promises';
import { type Deferred, deferred } from '../internal/deferred.ts';
import { backoffDelay } from '../lifecycle/backoff.ts';
import { type RunContext, Service } from '../lifecycle/service.ts';
import { Courier } from './courier.ts';
import { type DelivererOptions, type DelivererSettings, delivererSettings } from './deliverer-options.ts';
import type { DeliveryObservation } from './delivery-observation.ts';
import { type DeliveryOutcome, judge, observationOf, settlementOf } from './delivery-outcome.ts';
import type { Claim } from './delivery-queue.ts';
import { type HeldDelivery, Tenure } from './tenure.ts';

/** So many outcomes are stored at once without waiting for more. */
const fullSettlement = 256;

const longestRestMs = 60_000;

/** Further retry times are not remembered; the poll finds those deliveries. */
const retriesRemembered = 1_000;

/**
 * Delivers what is in the queue: claims, posts, stores outcomes, until it is stopped.
 *
 * Any number may run, in any number of processes. One loop does all statements, one after another, which is
 * what the order rests on: when a delivery fails, what it holds back is released in the same settlement, and
 * nothing of its group is sent before a claim that saw that settlement.
 *
 * Stopped: nothing new is claimed or sent, requests under way are finished, everything is settled. Killed: the
 * leases run out, and the deliveries are claimed again (each one at least once, in order).
 */
export class Deliverer extends Service {
  readonly #settings: DelivererSettings;
  readonly #courier: Courier;
  #tenure: Tenure;
  #outcomes: DeliveryOutcome[] = [];
  #oldestOutcomeAt = 0;
  #claimDue = true;
  #claimedAt = 0;
  /** Endpoints that the last claim left out, because they hold their share already. */
  #crowded: ReadonlySet<string> = new Set();
  /** The last claim failed, and may be committed all the same. */
  #claimUncertain = false;
  #takeOverDue: boolean;
  #retryTimes: number[] = [];
  #bell: Deferred<void> = deferred();

  constructor(options: DelivererOptions) {
    super('webhook-deliverer');
    this.#settings = delivererSettings(options);
    this.#takeOverDue = this.#settings.takeOver;
    this.#courier = new Courier(this.#settings);
    this.#tenure = new Tenure(this.#settings);
  }

  /** There are new deliveries: look at the queue now. To be called after their commit. */
  wake(): void {
    this.#claimDue = true;
    this.#bell.resolve();
  }

  protected override async run(context: RunContext): Promise<void> {
    const letGo = (): void => this.#tenure.end();
    context.aborted.addEventListener('abort', letGo, { once: true });
    // Beside the loop, for a statement may hang: what is held must be let go of in time all the same.
    const watch = setInterval(() => this.#checkTenure(), Math.max(10, this.#settings.leaseMs / 10));
    try {
      context.ready();
      await this.#work(context.stopping);
      await this.#drain(context.aborted);
    } finally {
      clearInterval(watch);
      context.aborted.removeEventListener('abort', letGo);
      this.#tenure.end();
      await this.#courier[Symbol.asyncDispose]();
    }
  }

  async #work(stopping: AbortSignal): Promise<void> {
    let failures = 0;
    while (!stopping.aborted) {
      // Made before the turn: what rings during it is answered by another turn.
      this.#bell = deferred();
      try {
        await this.#turn();
        failures = 0;
      } catch (error) {
        failures += 1;
        await this.#pause({ error, failures, signal: stopping });
        continue;
      }
      await this.#rest(stopping);
    }
  }

  async #turn(): Promise<void> {
    if (this.#takeOverDue) {
      await this.#settings.queue.takeOver({ valid: this.#settings.valid });
      this.#takeOverDue = false;
    }
    if (this.#settlementDueIn() <= 0) await this.#settle();
    await this.#renew();
    await this.#claim();
    this.#dispatch();
  }

  /** Finishes what is under way after `stopping`; gives up at `aborted`. */
  async #drain(aborted: AbortSignal): Promise<void> {
    for (const held of this.#tenure.empty()) this.#record({ type: 'released', held, tenure: this.#tenure });
    let failures = 0;
    while (!aborted.aborted && (this.#tenure.lanes.inFlight > 0 || this.#outcomes.length > 0)) {
      this.#bell = deferred();
      try {
        await this.#settle();
        await this.#renew();
        failures = 0;
      } catch (error) {
        failures += 1;
        await this.#pause({ error, failures, signal: aborted });
        continue;
      }
      if (this.#tenure.lanes.inFlight > 0) await this.#rest(aborted);
    }
  }

  async #claim(): Promise<void> {
    const tenure = this.#tenure;
    const { queue, held, heldPerEndpoint, heldBytes, leaseMs } = this.#settings;
    if (this.#claimUncertain) {
      await queue.keepOnly({ claimerId: tenure.claimerId, deliveryIds: tenure.deliveryIds });
      this.#claimUncertain = false;
    }
    const began = performance.now();
    if (this.#claimDueIn(began) > 0) return;
    this.#claimDue = false;
    this.#claimedAt = began;
    this.#retryTimes = this.#retryTimes.filter((at) => at > began);
    if (!this.#settings.valid()) return;
    if (tenure.idle) tenure.renewed(began);
    this.#crowded = new Set(tenure.lanes.endpointsHolding(heldPerEndpoint));
    let claim: Claim;
    try {
      claim = await queue.claim({
        claimerId: tenure.claimerId,
        leaseMs,
        limit: held - tenure.lanes.held,
        limitPerEndpoint: heldPerEndpoint,
        maxBytes: heldBytes - tenure.bytes,
        exceptEndpoints: [...this.#crowded],
      });
    } catch (error) {
      this.#claimDue = true;
      // A new tenure has a new id and knows nothing of this.
      this.#claimUncertain = tenure === this.#tenure;
      throw error;
    }
    // failpoint: webhooks.claimed
    if (claim.more) this.#claimDue = true;
    // A tenure that ended meanwhile must not touch the rows; they come back when their lease runs out.
    if (tenure !== this.#tenure) return;
    const refused = tenure.take(claim.deliveries, performance.timeOrigin + performance.now());
    for (const delivery of refused) this.#record({ type: 'released', held: delivery, tenure });
  }

  #dispatch(): void {
    this.#checkTenure();
    if (this.state === 'stopping') return;
    const tenure = this.#tenure;
    while (this.#settings.valid()) {
      const held = tenure.lanes.next();
      if (held === undefined) return;
      void this.#send(held, tenure);
    }
  }

  /** Never rejects. */
  async #send(held: HeldDelivery, tenure: Tenure): Promise<void> {
    const attempt = await this.#courier.attempt(held.claimed, tenure.ended);
    // failpoint: webhooks.sent
    const outcome = judge({ held, tenure, attempt }, this.#settings.retry);
    if (tenure.ended.aborted) {
      // It may have been delivered while we still had it. A failure may be our own doing and counts for nothing.
      if (outcome.type === 'delivered') this.#record(outcome);
      return;
    }
    if (outcome.type === 'delivered') {
      tenure.succeed(held);
      this.#record(outcome);
    } else if (attempt.error?.code === 'ER1207') {
      // It was not sent, so it has not failed.
      for (const waiting of [held, ...tenure.fail(held)]) {
        this.#record({ type: 'released', held: waiting, tenure });
      }
    } else {
      // Together: no settlement may store the one without the others.
      const behind = tenure.fail(held);
      this.#record(outcome);
      for (const waiting of behind) this.#record({ type: 'released', held: waiting, tenure });
    }
    this.#dispatch();
    const { endpointId } = held;
    const half = this.#settings.heldPerEndpoint / 2;
    if (this.#crowded.has(endpointId) && tenure.lanes.heldBy(endpointId) < half) this.wake();
    if (tenure.lanes.inFlight === 0) this.#bell.resolve();
  }

  #record(outcome: DeliveryOutcome): void {
    if (this.#outcomes.length === 0) this.#oldestOutcomeAt = performance.now();
    this.#outcomes.push(outcome);
    if (this.#outcomes.length === 1 || this.#outcomes.length === fullSettlement) this.#bell.resolve();
  }

  /** Stores all outcomes at once; never a part, for a failure and its releases belong together. */
  async #settle(): Promise<void> {
    const outcomes = this.#outcomes;
    if (outcomes.length === 0) return;
    this.#outcomes = [];
    let stored: ReadonlySet<string>;
    try {
      stored = await this.#settings.queue.settle(outcomes.map(settlementOf));
    } catch (error) {
      this.#outcomes = [...outcomes, ...this.#outcomes];
      throw error;
    }
    // failpoint: webhooks.settled
    for (const outcome of outcomes) {
      const failed = outcome.type === 'retrying' || outcome.type === 'dead';
      outcome.tenure.settled(outcome.held, { failed });
      // What was released behind a dead delivery is free now; behind a retry, when that is due.
      if (outcome.type === 'dead') this.#claimDue = true;
      if (outcome.type === 'retrying') this.#rememberRetry(outcome.retryInMs ?? 0);
      const observation = observationOf(outcome);
      if (observation !== null && stored.has(outcome.held.claimed.deliveryId)) this.#observe(observation);
    }
  }

  async #renew(): Promise<void> {
    const tenure = this.#tenure;
    const began = performance.now();
    if (tenure.renewalDueIn(began) > 0) return;
    const { queue, leaseMs } = this.#settings;
    await queue.renew({ claimerId: tenure.claimerId, leaseMs });
    tenure.renewed(began);
  }

  /** Ends a tenure whose leases may have run out, and begins another. */
  #checkTenure(): void {
    if (!this.#tenure.expired(performance.now())) return;
    this.#tenure.end();
    this.#tenure = new Tenure(this.#settings);
    this.#claimUncertain = false;
    this.#claimDue = true;
    this.#bell.resolve();
  }

  #rememberRetry(afterMs: number): void {
    if (this.#retryTimes.length < retriesRemembered) this.#retryTimes.push(performance.now() + afterMs + 1);
  }

  #settlementDueIn(): number {
    if (this.#outcomes.length === 0) return Number.POSITIVE_INFINITY;
    if (this.#outcomes.length >= fullSettlement || this.#tenure.lanes.inFlight === 0) return 0;
    return this.#oldestOutcomeAt + this.#settings.settleMs - performance.now();
  }

  /** Milliseconds until the queue is to be looked at; infinite while there is no room for what it may give. */
  #claimDueIn(now: number): number {
    const { held, heldBytes, pollMs } = this.#settings;
    const { lanes, bytes } = this.#tenure;
    // Not for a few: claims cost nearly the same for one row and for many.
    if (lanes.held > (held * 3) / 4 || bytes >= heldBytes) return Number.POSITIVE_INFINITY;
    if (this.#claimDue) return 0;
    return Math.min(this.#claimedAt + pollMs, ...this.#retryTimes) - now;
  }

  /** Waits for the bell, but not longer than until the next thing is due. */
  async #rest(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const claimDueIn = this.state === 'stopping' ? Number.POSITIVE_INFINITY : this.#claimDueIn(now);
    const due = [claimDueIn, this.#settlementDueIn(), this.#tenure.renewalDueIn(now)];
    const ms = Math.min(longestRestMs, ...due);
    if (ms <= 0) return;
    const timer = new AbortController();
    const end = (): void => this.#bell.resolve();
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    const late = sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([this.#bell.promise, late]);
    timer.abort();
    signal.removeEventListener('abort', end);
  }

  async #pause(failure: {
    readonly error: unknown;
    readonly failures: number;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const delayMs = backoffDelay(failure.failures, { maxMs: 5_000 });
    this.#observe({ type: 'cycle-failed', error: failure.error, delayMs });
    await sleep(delayMs, undefined, { signal: failure.signal }).catch(() => undefined);
  }

  #observe(observation: DeliveryObservation): void {
    try {
      this.#settings.observe?.(observation);
    } catch {
      // An observer must not stop deliveries.
    }
  }
}
