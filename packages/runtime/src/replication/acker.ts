import { runtimeError } from '../errors/codes.ts';
import { formatLsn, type Lsn, zeroLsn } from './lsn.ts';

/** The receipt of one transaction; hand it back to {@link Acker.settle} when the transaction is durable. */
export interface Ticket {
  /** The end of the transaction's commit record. */
  readonly endLsn: Lsn;
}

class Entry implements Ticket {
  readonly endLsn: Lsn;
  settled = false;

  constructor(endLsn: Lsn) {
    this.endLsn = endLsn;
  }
}

/**
 * The one object that decides what may be confirmed to the server, for one connection. What is confirmed
 * is released for good: the server never sends it again.
 *
 * A transaction is in flight from its Begin until it is settled. Invariants; `acker.test.ts` checks each
 * under its number:
 *
 * 1. Only a contiguous prefix is confirmed: every transaction that ends at or before {@link confirmed} is
 *    settled. So {@link confirmed} never reaches the oldest transaction that is not.
 * 2. {@link confirmed} never goes back.
 * 3. The position of a keepalive is confirmed only while nothing is in flight, and only up to the limit, if one is set.
 * 4. What may be confirmed is: the settled prefix, and once nothing is in flight the last position of all
 *    that came, keepalives too, so that an idle database does not retain WAL.
 * 5. Settling twice, and settling another connection's ticket, changes nothing.
 * 6. Transactions follow each other and do not nest; a stream that breaks this is refused with ER3003.
 *
 * Why a keepalive may be kept and confirmed later (4): the server sends it behind all transactions that
 * end before its position, on the same ordered connection. So when nothing is in flight, those are settled.
 */
export class Acker {
  #entries: Entry[] = [];
  /** Index in #entries of the oldest entry that is not settled. */
  #oldest = 0;
  #open = false;
  #confirmed: Lsn;
  #lastReceived: Lsn;
  #lastKeepalive: Lsn = zeroLsn;
  #limit: Lsn | undefined;

  /** @param initial what the caller knows to be durable already; nothing (0/0) by default */
  constructor(initial: Lsn = zeroLsn) {
    this.#confirmed = initial;
    this.#lastReceived = initial;
  }

  /** The position up to which everything is durable: to be reported as written, flushed and applied. 0/0: nothing yet. */
  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** How many transactions were received and are not confirmed, without one that is still being received. */
  get inFlight(): number {
    return this.#entries.length - this.#oldest;
  }

  /** A Begin message has come. @throws ER3003 inside another transaction */
  begin(): void {
    if (this.#open) throw runtimeError('ER3003', { detail: 'A transaction began inside another.' });
    this.#open = true;
  }

  /**
   * A Commit message has come. To be called before the transaction is handed to anybody.
   * @throws ER3003 no transaction was open, or it does not end behind the one before
   */
  received(endLsn: Lsn): Ticket {
    if (!this.#open) throw runtimeError('ER3003', { detail: 'A transaction ended that had not begun.' });
    if (endLsn <= this.#lastReceived) {
      throw runtimeError('ER3003', {
        detail: `A commit at ${formatLsn(endLsn)} came behind one at ${formatLsn(this.#lastReceived)}.`,
      });
    }
    this.#open = false;
    this.#lastReceived = endLsn;
    const entry = new Entry(endLsn);
    this.#entries.push(entry);
    return entry;
  }

  /** The transaction of this ticket is durable. In any order; what waits for an older one waits here. */
  settle(ticket: Ticket): void {
    // A ticket of an older connection is not in #entries: its mark is never looked at.
    if (!(ticket instanceof Entry)) throw new TypeError('not a ticket of an acker');
    ticket.settled = true;
    for (
      let entry = this.#entries[this.#oldest];
      entry?.settled === true;
      entry = this.#entries[this.#oldest]
    ) {
      this.#confirm(entry.endLsn);
      this.#oldest += 1;
    }
    this.#forget();
    this.#confirmKeepalive();
  }

  /** A keepalive has come. */
  keepalive(walEnd: Lsn): void {
    if (walEnd > this.#lastKeepalive) this.#lastKeepalive = walEnd;
    this.#confirmKeepalive();
  }

  /** From now on positions of keepalives are confirmed up to here only. By default there is no limit. */
  limitKeepalives(lsn: Lsn): void {
    this.#limit = lsn;
    this.#confirmKeepalive();
  }

  #confirmKeepalive(): void {
    if (this.#open || this.inFlight > 0) return;
    const limit = this.#limit;
    this.#confirm(limit !== undefined && limit < this.#lastKeepalive ? limit : this.#lastKeepalive);
  }

  #confirm(lsn: Lsn): void {
    if (lsn > this.#confirmed) this.#confirmed = lsn;
  }

  /** Gives settled entries back to the garbage collector; seldom, because it moves all the others. */
  #forget(): void {
    if (this.#oldest === this.#entries.length) {
      this.#entries.length = 0;
      this.#oldest = 0;
    } else if (this.#oldest >= 1_024 && this.#oldest * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}
