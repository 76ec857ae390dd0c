/** What happens to the bytes of one direction: handed on; left unread; read and thrown away. */
export type LaneMode = 'pass' | 'stall' | 'swallow';

export interface Delay {
  /** Milliseconds by which everything is late. */
  readonly ms: number;
  /** Up to this many milliseconds more, drawn for each chunk. */
  readonly jitterMs: number;
}

/** Bytes of one direction since the proxy was started, over all its connections. */
export interface ByteCounts {
  /** Taken from the sender's side, whatever became of them. */
  readonly read: number;
  /** Handed over to the receiver's side (to the kernel's buffer: what the receiver made of them is not known). */
  readonly passed: number;
  /** Thrown away by `swallow`. */
  readonly swallowed: number;
}

/** The faults of one direction, shared by the lanes of all connections, and what they count. */
export class LaneFaults {
  mode: LaneMode = 'pass';
  delay: Delay | undefined;
  /** Bytes that may still pass before a connection is cut. Undefined: without limit. */
  dropAfter: number | undefined;
  read = 0;
  passed = 0;
  swallowed = 0;

  /** Ends every fault; what was counted stays. */
  heal(): void {
    this.mode = 'pass';
    this.delay = undefined;
    this.dropAfter = undefined;
  }

  counts(): ByteCounts {
    return { read: this.read, passed: this.passed, swallowed: this.swallowed };
  }
}
