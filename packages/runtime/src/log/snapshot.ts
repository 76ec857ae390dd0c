/**
 * A database snapshot, PostgreSQL's `pg_snapshot`: which transactions had ended when it was taken.
 *
 * "Sees" says that a transaction had ended. Whether it committed is another question: only committed ones have rows.
 * Source: PostgreSQL manual, "Transaction ID and Snapshot Information Functions".
 */
export class Snapshot {
  /** Before every transaction of a cluster: the first normal transaction id is 3. */
  static readonly nothing: Snapshot = new Snapshot(3n, 3n, new Set());
  /** Every transaction below has ended. */
  readonly xmin: bigint;
  /** Every transaction from here on had not ended. */
  readonly xmax: bigint;
  /** Those between that had not ended. */
  readonly open: ReadonlySet<bigint>;

  private constructor(xmin: bigint, xmax: bigint, open: ReadonlySet<bigint>) {
    this.xmin = xmin;
    this.xmax = xmax;
    this.open = open;
  }

  /** `xmin:xmax:xip,xip` @throws TypeError for any other text */
  static parse(text: string): Snapshot {
    const match = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/.exec(text);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new TypeError(`not a snapshot: ${text.slice(0, 60)}`);
    }
    const open = match[3] === undefined || match[3] === '' ? [] : match[3].split(',').map(BigInt);
    return new Snapshot(BigInt(match[1]), BigInt(match[2]), new Set(open));
  }

  /** Whether a transaction had ended. */
  sees(xid: bigint): boolean {
    if (xid < this.xmin) return true;
    return xid < this.xmax && !this.open.has(xid);
  }

  /** Whether it sees every transaction that the other one sees. */
  covers(other: Snapshot): boolean {
    // What the other one's xmax is higher by must be open there: then it does not see that either.
    let beyond = other.xmax - this.xmax;
    if (beyond > 0n) for (const xid of other.open) if (xid >= this.xmax) beyond -= 1n;
    if (beyond > 0n) return false;
    for (const xid of this.open) if (other.sees(xid)) return false;
    return true;
  }

  /** What both of them see. */
  intersect(other: Snapshot): Snapshot {
    const xmax = this.xmax < other.xmax ? this.xmax : other.xmax;
    const open = new Set([...this.open, ...other.open].filter((xid) => xid < xmax));
    let xmin = xmax;
    for (const xid of open) if (xid < xmin) xmin = xid;
    return new Snapshot(xmin, xmax, open);
  }

  toString(): string {
    const open = [...this.open].toSorted((a, b) => (a < b ? -1 : 1));
    return `${this.xmin}:${this.xmax}:${open.join(',')}`;
  }
}
