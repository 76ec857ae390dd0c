import { randomUUID } from 'node:crypto';
import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { runtimeError } from '../errors/codes.ts';
import { sqlState } from '../internal/sql-state.ts';
import { retrying } from '../lifecycle/retrying.ts';
import {
  adoptCluster,
  type Checkpoint,
  type CheckpointOwner,
  type ClaimedCheckpoint,
  claimCheckpoints,
  type StoredCheckpoint,
} from '../log/checkpoint.ts';
import type { LoggedEvent } from '../log/outbox-event.ts';
import type { Shard } from '../log/table-page.ts';
import { TableReader } from '../log/table-reader.ts';
import { readServerLog } from '../log/timeline.ts';
import { formatLsn, zeroLsn } from '../replication/lsn.ts';
import type { DeliveryResult, Sink } from '../sinks/sink.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Signals, WaitingEvent } from './feed/dispatcher.ts';
import { Feed, type FeedMode } from './feed/feed.ts';
import { waitsBehind } from './feed/routed-batch.ts';
import { Window } from './feed/window.ts';
import type { LeaseUnit } from './lease/lease.ts';
import type { HeldLease } from './lease/lease-term.ts';
import { keepDeadLetter } from './letters/dead-letter.ts';
import { buryLetter } from './letters/redrive-letters.ts';
import { Redriver } from './letters/redriver.ts';
import { makeSink } from './make-sink.ts';
import { publicationName, reached } from './preflight.ts';
import type { RelayOptions } from './relay.ts';
import { relayLimits } from './relay-limits.ts';
import type { RelayPools } from './relay-pools.ts';
import { Replayer } from './replay/replayer.ts';
import { RoutesTo } from './route.ts';
import { Session } from './session.ts';
import { type SentFrom, SlotKeeper } from './slot/slot-keeper.ts';

export interface LeadOptions extends RelayOptions {
  readonly name: string;
  readonly pools: RelayPools;
  readonly lease: HeldLease;
  readonly logger: Logger;
}

/** Where a sink is. */
export interface SinkStatus {
  readonly sink: string;
  readonly shard: number;
  readonly mode: FeedMode;
  /** Events that were delivered since this process got the lease. */
  readonly delivered: number;
  /** Why it does not take what it is handed, while that is tried again; undefined: nothing has failed. */
  readonly trouble: unknown;
  /**
   * The oldest event that it turned away, or a dead letter that is redriven, which is tried again; later ones of its
   * entity wait. Undefined: none.
   */
  readonly waiting?: WaitingEvent | undefined;
}

/** How much of its memory for the recent WAL a relay uses. */
export interface WindowUse {
  readonly bytes: number;
  readonly limitBytes: number;
}

/** What one lease entitles to: sessions, one after another, until the lease is lost or the relay stops. */
export class Lead {
  readonly #options: LeadOptions;
  readonly #keeper: SlotKeeper | undefined;
  #feeds: readonly Feed[] = [];
  /** Of each feed, in the same order. */
  #redrivers: readonly Redriver[] = [];
  #window: Window | undefined;
  /** Of which sinks it was said that they are on another timeline. */
  readonly #said = new Set<string>();
  /** By sessions that have ended, by sink. */
  readonly #deliveredBefore = new Map<string, number>();

  constructor(options: LeadOptions) {
    this.#options = options;
    if (options.source === 'table') return;
    this.#keeper = new SlotKeeper({
      connectionString: options.connectionString,
      pool: options.pools.work,
      relay: options.name,
      slot: options.slot ?? options.name,
      publication: publicationName,
      failover: options.failover ?? true,
      walSenderTimeoutMs: options.walSenderTimeoutMs,
      logger: options.logger,
    });
  }

  get status(): readonly SinkStatus[] {
    const { shard } = this.#options.lease.unit;
    return this.#feeds.map((feed, index) => {
      const redriver = this.#redrivers[index];
      const letter = redriver?.waiting;
      return {
        sink: feed.sink.name,
        shard,
        mode: feed.mode,
        delivered: this.#deliveredOf(feed),
        trouble: feed.trouble ?? letter?.error ?? redriver?.trouble,
        waiting: feed.waiting ?? (letter && { eventId: letter.eventId, since: letter.since }),
      };
    });
  }

  /** Whether its lease holds. */
  get valid(): boolean {
    return this.#options.lease.valid();
  }

  get unit(): LeaseUnit {
    return this.#options.lease.unit;
  }

  /** Undefined where the table is polled. */
  get windowUse(): WindowUse | undefined {
    if (this.#keeper === undefined || this.#window === undefined) return undefined;
    return { bytes: this.#window.bytes, limitBytes: this.#window.limitBytes };
  }

  /** Why the WAL is not read; undefined: it is, or is about to be, or is not to be. */
  get trouble(): EventRuntimeError | undefined {
    return this.#keeper?.trouble;
  }

  /** @throws what repetition does not mend; ER1207 when the lease is lost */
  async run(signals: Signals & { readonly ready: () => void }): Promise<void> {
    await retrying(async () => await this.#session(signals), {
      signal: signals.stopping,
      baseMs: 50,
      maxMs: 5_000,
      onRetry: ({ error, attempt, delayMs }) => {
        this.#options.logger.warn('relay.reconnecting', { error, attempt, delayMs });
      },
    });
  }

  async #session(signals: Signals & { readonly ready: () => void }): Promise<void> {
    const { pools, lease, logger } = this.#options;
    const { stopping } = signals;
    const owner = await this.#owner(stopping);
    const stored = await this.#claim(owner, stopping);
    const keeper = this.#keeper;
    const { timeline } = owner;
    const now = await keeper?.openNow(stopping, { timeline });
    const sinks = this.#sources().map((source) => makeSink(source, owner));
    try {
      const window = new Window(this.#options.windowBytes ?? relayLimits.windowBytes);
      this.#window = window;
      for (const feed of this.#feeds) this.#deliveredBefore.set(feed.sink.name, this.#deliveredOf(feed));
      const resumed = (each: StoredCheckpoint): boolean => now !== undefined && resumes(each, now);
      this.#feeds = sinks.map((sink) => {
        const checkpoint = stored.get(sink.name) as StoredCheckpoint;
        if (now !== undefined) this.#sayAhead(sink, checkpoint, now);
        return this.#feed(sink, { owner, window, stored: checkpoint, resume: resumed(checkpoint) });
      });
      const ours = (sent: SentFrom): boolean =>
        [...stored.values()].some(({ checkpoint }) => sends(sent, checkpoint));
      const redrivers = this.#feeds.map((feed) => this.#redriver(feed));
      this.#redrivers = redrivers;
      const session = new Session({
        owner,
        feeds: this.#feeds,
        besides: [...this.#feeds.map((feed) => this.#replayer(feed, owner)), ...redrivers],
        window,
        pool: pools.work,
        opened: now === undefined || ours(now) ? now?.log : await keeper?.guarded(now.log, stopping),
        open:
          keeper === undefined ? undefined : async (signal) => await keeper.open(signal, { timeline, ours }),
        verify: async () => await keeper?.verify(),
        tickMs: this.#options.checkpointMs ?? relayLimits.checkpointMs,
        behindMs: this.#options.behindMs ?? relayLimits.behindMs,
      });
      logger.info('relay.started', {
        epoch: lease.epoch.toString(),
        sinks: this.#feeds.map((feed) => `${feed.sink.name}: ${feed.mode}`),
      });
      signals.ready();
      await session.run(signals);
    } catch (error) {
      if (!isEventRuntimeError(error)) throw error;
      // A slot that a backup of files brought along, without its WAL: the server does not call it lost.
      if (error.code === 'ER1202' && sqlState(error.cause) === '58P01') {
        keeper?.condemn('its WAL is not there');
        throw runtimeError('ER3004', { detail: error.message, cause: error });
      }
      if (error.code !== 'ER1204') throw error;
      // The server cannot decode what was written while there was none, now or later.
      keeper?.condemn('its publication was missing');
      throw runtimeError('ER1212', { detail: error.message, cause: error });
    } finally {
      await Promise.allSettled(sinks.map(async (sink) => await sink[Symbol.asyncDispose]()));
    }
  }

  #deliveredOf(feed: Feed): number {
    return (this.#deliveredBefore.get(feed.sink.name) ?? 0) + feed.delivered;
  }

  #sources(): RelayOptions['sinks'] {
    const { sinks, lease } = this.#options;
    return lease.unit.sink === '*' ? sinks : sinks.filter((sink) => sink.name === lease.unit.sink);
  }

  /** Nothing is lost, but who moved a slot should hear of it: what he wanted to leave out is delivered. */
  #sayAhead({ name }: Sink, { checkpoint, paused }: StoredCheckpoint, { confirmed }: SentFrom): void {
    const { mode, position } = checkpoint;
    if (paused || mode !== 'live' || position.lsn === zeroLsn || confirmed <= position.lsn) return;
    const [stored, slot] = [formatLsn(position.lsn), formatLsn(confirmed)];
    this.#options.logger.warn('relay.slot.ahead', { sink: name, stored, confirmed: slot });
  }

  async #owner(signal: AbortSignal): Promise<CheckpointOwner> {
    const { pools, lease, name } = this.#options;
    const server = await reached(readServerLog(pools.work), signal);
    return { relay: name, shard: lease.unit.shard, epoch: lease.epoch, claim: randomUUID(), ...server };
  }

  async #claim(owner: CheckpointOwner, signal: AbortSignal): Promise<Map<string, ClaimedCheckpoint>> {
    const { pools, logger } = this.#options;
    const sinks = this.#sources().map((sink) => sink.name);
    const client = await reached(pools.work.connect(), signal);
    try {
      await client.query('begin');
      // Stopped in between, we must not keep the rows from whoever takes over.
      await client.query(
        "set local lock_timeout = '1s'; set local idle_in_transaction_session_timeout = '2s'",
      );
      const floor = await adoptCluster(client, owner);
      const stored = await claimCheckpoints(client, { sinks, owner });
      // Before the commit: where its answer is lost, the next claim finds nothing to say.
      if (floor === null) this.#sayTimeline(stored, owner);
      await client.query('commit');
      if (floor !== null) logger.error('relay.cluster.adopted', { floorSeq: floor.toString() });
      return stored;
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }

  /** Promoted or restored: what was delivered after the checkpoints were written may not be in this database. */
  #sayTimeline(stored: ReadonlyMap<string, ClaimedCheckpoint>, { timeline: to }: CheckpointOwner): void {
    for (const [sink, { timeline: from, updatedAt: since }] of stored) {
      if (from === to || this.#said.has(`${to} ${sink}`)) continue;
      this.#said.add(`${to} ${sink}`);
      this.#options.logger.error('relay.timeline.changed', { sink, from, to, since });
    }
  }

  #replayer(feed: Feed, owner: CheckpointOwner): Replayer {
    const { pools, logger, source, shards = 1, checkpointMs } = this.#options;
    return new Replayer({
      feed,
      owner,
      pool: pools.work,
      shards: source === 'table' ? shards : 1,
      logger,
      saveMs: checkpointMs ?? relayLimits.checkpointMs,
      onRejected: async (logged, result) => await this.#reject(feed.sink, { logged, result }),
    });
  }

  async #park(sink: string, logged: LoggedEvent): Promise<void> {
    const { reason } = waitsBehind;
    const { name: relay } = this.#options;
    await keepDeadLetter(this.#options.pools.work, { relay, sink, logged, reasonCode: 'waits', reason });
    this.#options.logger.debug('relay.letters.parked', { sink, eventId: logged.event.eventId });
  }

  #redriver(feed: Feed): Redriver {
    const { pools, logger, name } = this.#options;
    return new Redriver({
      feed,
      relay: name,
      pool: pools.work,
      shard: this.#shard(),
      logger,
      onRejected: async ({ id, logged: { event } }, result) => {
        await buryLetter(pools.work, { id, reasonCode: 'rejected', reason: whyRejected(result) });
        this.#sayRejected(feed.sink, { event, reason: result.reason });
      },
    });
  }

  /** Which part of the entities the lease is for; undefined: all of them. */
  #shard(): Shard | undefined {
    const { lease, source, shards = 1 } = this.#options;
    return source === 'table' && shards > 1 ? { index: lease.unit.shard, count: shards } : undefined;
  }

  async #reject(
    { name }: Sink,
    refused: { readonly logged: LoggedEvent; readonly result: DeliveryResult & { type: 'rejected' } },
  ): Promise<void> {
    const { logged, result } = refused;
    if (result === waitsBehind) {
      await this.#park(name, logged);
      return;
    }
    const { name: relay, pools } = this.#options;
    const reason = whyRejected(result);
    await keepDeadLetter(pools.work, { relay, sink: name, logged, reasonCode: 'rejected', reason });
    this.#sayRejected({ name }, { event: logged.event, reason: result.reason });
  }

  #sayRejected(
    { name }: Pick<Sink, 'name'>,
    { event: { eventId }, reason }: { readonly event: { readonly eventId: string }; readonly reason: string },
  ): void {
    this.#options.logger.error('relay.sink.rejected', { sink: name, eventId, reason });
  }

  #feed(
    sink: Sink,
    from: {
      readonly owner: CheckpointOwner;
      readonly window: Window;
      readonly stored: StoredCheckpoint;
      readonly resume: boolean;
    },
  ): Feed {
    const { logger, lease, routes } = this.#options;
    const shard = this.#shard();
    const pool = this.#options.pools.work;
    const windowBytes = this.#options.windowBytes ?? relayLimits.windowBytes;
    const source = this.#sources().find(({ name }) => name === sink.name);
    const feed = new Feed({
      ...from,
      sink,
      routes: routes === undefined ? undefined : new RoutesTo(sink.name, routes),
      pool,
      logger,
      reader: new TableReader({ pool, ...(shard === undefined ? {} : { shard }) }),
      valid: () => lease.valid(),
      checkpointMs: this.#options.checkpointMs ?? relayLimits.checkpointMs,
      pollMs: this.#options.pollMs ?? relayLimits.pollMs,
      limit: relayLimits.batch,
      inHandBytes: windowBytes * relayLimits.inHandPart,
      onRejected: async (logged, result) => {
        await this.#reject(sink, { logged, result });
        feed.parked?.add(logged);
      },
      afterDeadLetter: source?.afterDeadLetter ?? 'continue',
      deadLetterAfterMs: source?.deadLetterAfterMs,
    });
    return feed;
  }
}

function whyRejected({ reason, error }: DeliveryResult & { type: 'rejected' }): string {
  return error === undefined ? reason : `${reason}: ${error.message}`;
}

function resumes({ checkpoint, paused }: StoredCheckpoint, sent: SentFrom): boolean {
  return !paused && sends(sent, checkpoint);
}

/**
 * Whether the slot still sends everything behind a checkpoint's position. A slot that was confirmed further was made
 * anew, or moved by somebody, or had nothing for this sink: the table knows. So it does when the publication was changed
 * after the checkpoint's snapshot: what was committed around that may not be sent.
 */
function sends({ confirmed, changedBy }: SentFrom, { mode, position, snapshot }: Checkpoint): boolean {
  // Older than all that is open, not only seen: the id may be that of a savepoint, which no snapshot names.
  return mode === 'live' && position.lsn > zeroLsn && confirmed <= position.lsn && changedBy < snapshot.xmin;
}
