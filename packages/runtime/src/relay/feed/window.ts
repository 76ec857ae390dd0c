import { deferred } from '../../internal/deferred.ts';
import { beginning, comparePositions, type LoggedEvent, type Position } from '../../log/outbox-event.ts';
import type { Snapshot } from '../../log/snapshot.ts';
import type { WalBatch } from '../../log/wal-reader.ts';
import type { Ticket } from '../../replication/acker.ts';
import { type Lsn, zeroLsn } from '../../replication/lsn.ts';
import { bytesOf } from './in-hand.ts';

/** A sink's place in the window. Places are numbers that grow from the first event that the window ever held. */
export interface Place {
  /** The next event that it takes. */
  taken: number;
  /** Everything before is delivered; the window may forget it. */
  delivered: number;
  /** Stored durably: everything up to here is delivered. */
  durable: Position;
  /** Events that the sink has already. */
  skip: ((logged: LoggedEvent) => boolean) | undefined;
}

/** A transaction that the server has not been told to forget. */
interface Pending {
  readonly txId: bigint;
  /** Place of its first event. */
  readonly first: number;
  last: Position;
  /** Undefined until its commit has come. */
  ticket: Ticket | undefined;
}

/** So much is read ahead of the fastest sink, a few batches: more would only grow old there. In a small window, a part of it. */
const ahead = { bytes: 4 * 1_024 * 1_024, part: 1 / 8 };

/** So many transactions are remembered one by one; where pins overlap without end, they would be more and more. */
const mostForgotten = 10_000;

/**
 * The recent past of the WAL, in memory, bounded in bytes: what live sinks are fed from.
 *
 * Invariants (window.test.ts):
 * 1. An event stays until every live sink has delivered it and no pin asks for it.
 * 2. A transaction may be forgotten by the server only when every live sink's durable checkpoint covers it, and a
 *    snapshot has seen it. So whatever the server no longer sends is visible to every later snapshot.
 * 3. A sink joins with a snapshot only when that snapshot sees every transaction of which an event has left the window.
 */
export class Window {
  readonly limitBytes: number;
  #events: LoggedEvent[] = [];
  /** Place of #events[0]. */
  #base = 0;
  #bytes = 0;
  #readTo: Lsn = zeroLsn;
  #pending: Pending[] = [];
  /** How many of #pending have their ticket. */
  #complete = 0;
  readonly #places = new Set<Place>();
  #pins = 0;
  #pinned = false;
  /** What a snapshot must see to join: what was there before the slot, and what the server was told to forget. */
  #start: Snapshot | undefined;
  #barrier: Snapshot | undefined;
  /** The last snapshot by which the server was told to forget something. */
  #seen: Snapshot | undefined;
  /** Transactions that the server forgot since the first of the present pins. */
  #forgotten: bigint[] = [];
  #open = false;
  #arrival = deferred();
  #change = deferred();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Whether the WAL is being read. */
  get open(): boolean {
    return this.#open;
  }

  /** The place behind the last event. */
  get end(): number {
    return this.#base + this.#events.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How far the WAL was read: every transaction that ends before is in the window, or was. */
  get readTo(): Lsn {
    return this.#readTo;
  }

  /** Whether the server waits to be told of transactions. */
  get unsettled(): boolean {
    return this.#pending.length > 0;
  }

  /** Resolves when something arrives after this was asked for. */
  get arrival(): Promise<void> {
    return this.#arrival.promise;
  }

  /** Resolves when the window opens, or a sink leaves or moves on, after this was asked for. */
  get change(): Promise<void> {
    return this.#change.promise;
  }

  /**
   * From now on it is fed.
   * @param barrier sees what the slot does not send because it was there before: a sink must have it from the table
   */
  start(barrier: Snapshot): void {
    this.#start = barrier;
    this.#open = true;
    this.moved();
  }

  /** Takes over what was read. @returns the tickets of transactions without events: they concern no sink */
  push(batch: WalBatch, readTo: Lsn): Ticket[] {
    for (const logged of batch.events) this.#add(logged);
    const idle: Ticket[] = [];
    for (const { last, ticket } of batch.transactions) {
      if (last === null) {
        idle.push(ticket);
        continue;
      }
      const pending = this.#pending[this.#complete];
      if (pending === undefined) throw new TypeError('a commit came without its events');
      pending.ticket = ticket;
      this.#complete += 1;
    }
    if (readTo > this.#readTo) this.#readTo = readTo;
    const waiting = this.#arrival;
    this.#arrival = deferred();
    waiting.resolve();
    return idle;
  }

  /** The next events for a sink, at most so many; its place moves on. */
  take(place: Place, most: number): readonly LoggedEvent[] {
    const from = place.taken - this.#base;
    const events = this.#events.slice(from, from + most);
    place.taken += events.length;
    return events;
  }

  /** The position of the event at a place; undefined: it has not come yet. */
  positionAt(place: number): Position | undefined {
    return this.#events[place - this.#base]?.position ?? undefined;
  }

  /** From now on nothing leaves the window, until it is full. For a sink that is about to join. */
  pin(): void {
    this.#pins += 1;
    this.#pinned = true;
  }

  unpin(): void {
    this.#pins -= 1;
    if (this.#pins > 0) return;
    this.#pinned = false;
    this.#forgotten = [];
    this.#barrier = this.#seen ?? this.#barrier;
  }

  /**
   * Whether a sink that has delivered everything that a snapshot sees finds all the rest here. The snapshot is to be
   * taken after {@link pin}.
   */
  canJoin(snapshot: Snapshot): boolean {
    if (!this.#open) return false;
    for (const needed of [this.#start, this.#barrier]) {
      if (needed !== undefined && !snapshot.covers(needed)) return false;
    }
    if (!this.#forgotten.every((txId) => snapshot.sees(txId))) return false;
    for (const { txId, first } of this.#pending) {
      if (first >= this.#base) return true;
      if (!snapshot.sees(txId)) return false;
    }
    return true;
  }

  /** Lets a sink in at the oldest event. */
  join(): Place {
    return this.#enter({ taken: this.#base, delivered: this.#base, durable: beginning, skip: undefined });
  }

  /** Lets a sink in that goes on after a position of this same slot. */
  resume(position: Position): Place {
    const skip = (logged: LoggedEvent): boolean =>
      logged.position !== null && comparePositions(logged.position, position) <= 0;
    return this.#enter({ taken: this.#base, delivered: this.#base, durable: position, skip });
  }

  /** The sink reads the table from now on. Its stored checkpoint still covers all that the table would not give it. */
  leave(place: Place): void {
    this.#places.delete(place);
    this.moved();
  }

  /** A sink has taken or delivered more. */
  moved(): void {
    const waiting = this.#change;
    this.#change = deferred();
    waiting.resolve();
  }

  /**
   * Forgets what every live sink has delivered.
   *
   * @returns the sinks that are so far behind that they must leave, for the window is full and others are ahead
   */
  trim(): readonly Place[] {
    this.#evictTo(this.#lowest());
    if (this.#bytes <= this.limitBytes) return [];
    this.#pinned = false;
    this.#evictTo(this.#lowest());
    if (this.#bytes <= this.limitBytes || this.#places.size < 2) return [];
    // The pace is the fastest sink's: where that one is behind as well, reading waits instead (see `full`).
    const cut = this.#placeOfBytes(this.limitBytes / 2);
    const fastest = Math.max(...[...this.#places].map((place) => place.delivered));
    return fastest < cut ? [] : [...this.#places].filter((place) => place.delivered < cut);
  }

  /** Whether reading should wait: nothing more fits, or the fastest sink has enough to go on with. */
  get full(): boolean {
    if (this.#bytes > this.limitBytes) return true;
    if (this.#places.size === 0) return false;
    let taken = this.#base;
    for (const place of this.#places) if (place.taken > taken) taken = place.taken;
    // Of the mean size: all of them would have to be gone through else.
    const untaken = ((this.end - taken) / this.#events.length) * this.#bytes;
    return untaken > Math.min(ahead.bytes, this.limitBytes * ahead.part);
  }

  /** When the oldest event that a sink has not delivered was read, by our clock; undefined: it has everything. */
  oldestOf(place: Place): number | undefined {
    return this.#events[place.delivered - this.#base]?.capturedAt;
  }

  /** Takes out the tickets of transactions that the server may forget. See invariant 2. */
  settle(seen: Snapshot): Ticket[] {
    const settled: Ticket[] = [];
    for (const { txId, last, ticket } of this.#pending) {
      if (ticket === undefined || !seen.sees(txId) || !this.#stored(last)) break;
      settled.push(ticket);
    }
    if (settled.length > 0) this.#forget(seen, this.#pending.slice(0, settled.length));
    this.#pending = this.#pending.slice(settled.length);
    this.#complete -= settled.length;
    return settled;
  }

  #add(logged: LoggedEvent): void {
    const position = logged.position as Position;
    const current = this.#pending.at(-1);
    if (current?.last.lsn === position.lsn) current.last = position;
    else this.#pending.push({ txId: logged.txId, first: this.end, last: position, ticket: undefined });
    this.#events.push(logged);
    this.#bytes += bytesOf(logged);
  }

  /** What the server no longer sends: whoever joins must have it, but its snapshot may be older than `seen`. */
  #forget(seen: Snapshot, transactions: readonly Pending[]): void {
    this.#seen = seen;
    if (this.#pins === 0) this.#barrier = seen;
    else for (const { txId } of transactions) this.#forgotten.push(txId);
    if (this.#forgotten.length <= mostForgotten) return;
    // Whoever is about to join takes a newer snapshot, and finds all of them in it.
    this.#barrier = seen;
    this.#forgotten = [];
  }

  #enter(place: Place): Place {
    this.#places.add(place);
    return place;
  }

  #stored(last: Position): boolean {
    for (const place of this.#places) if (comparePositions(place.durable, last) < 0) return false;
    return true;
  }

  /** Up to where everybody has everything. */
  #lowest(): number {
    if (this.#pinned) return this.#base;
    let lowest = this.end;
    for (const place of this.#places) if (place.delivered < lowest) lowest = place.delivered;
    return lowest;
  }

  #evictTo(place: number): void {
    const count = place - this.#base;
    if (count <= 0) return;
    for (let at = 0; at < count; at += 1) this.#bytes -= bytesOf(this.#events[at] as LoggedEvent);
    this.#events = this.#events.slice(count);
    this.#base = place;
  }

  /** The place from which on the events have no more than so many bytes. */
  #placeOfBytes(limit: number): number {
    let bytes = 0;
    for (let at = this.#events.length - 1; at >= 0; at -= 1) {
      bytes += bytesOf(this.#events[at] as LoggedEvent);
      if (bytes > limit) return this.#base + at + 1;
    }
    return this.#base;
  }
}
