import type { LoggedEvent } from '../../log/outbox-event.ts';
import type { Sink, SinkFeatures } from '../../sinks/sink.ts';

/** An event as a consumer at the sink's destination sees it. */
export interface ReceivedEvent {
  /** The envelope's attributes by name, decoded: docs/reference/envelope.md. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The payload byte for byte. */
  readonly data: Buffer;
}

/** A destination of its own, empty, and ways to look at it and to take it away. */
export interface SinkSite extends AsyncDisposable {
  /** A new sink into this destination; the suite disposes it. There may be several, one after the other. */
  open(): Promise<Sink>;
  /**
   * All that the destination has durably, in the order in which a consumer sees it; read by a client of its own, not
   * through the sink. Left out where the sink keeps nothing.
   */
  received?(): Promise<readonly ReceivedEvent[]>;
  /** Called with all events of a case before the first of them is handed over. */
  prepare?(events: readonly LoggedEvent[]): Promise<void>;
  /** Takes the destination away, and gives it back as it was: a network that is cut, a server that is killed. */
  readonly outage?: {
    begin(): Promise<void>;
    end(): Promise<void>;
    /**
     * Lets the destination hang, and go on: a process that is stopped, a host that drops packets. Connections stay open
     * or can be made, and nobody answers.
     */
    readonly freeze?: () => Promise<void>;
    readonly thaw?: () => Promise<void>;
  };
  /** The event as one that the destination will never take, whatever its features say: too large, misnamed. */
  poison?(event: LoggedEvent): LoggedEvent;
}

/** What a kind of sink has not: see `without`. */
export type Absence = 'received' | 'envelope' | 'outage' | 'freeze' | 'lease' | 'poison';

export interface SinkConformanceOptions {
  /** A new destination for each case. */
  readonly create: () => Promise<SinkSite>;
  /** What the sink declares. */
  readonly features: SinkFeatures;
  /**
   * What this kind of sink has not, said in so many words, so that nothing is left out by accident. `received`: it keeps
   * nothing that could be read. `envelope`: events are received without attributes but `id`. `outage`: there is nothing
   * that could be away. `freeze`: it can be away, but not be made to hang. `lease`: it waits for nothing before it takes
   * a batch. `poison`: nothing is known that the destination never takes, but a payload above `maxPayloadBytes`.
   */
  readonly without?: ReadonlyArray<Absence>;
  /**
   * Milliseconds in which a batch settles, also one that is aborted, or whose destination hangs: the sink's own time limit
   * must be shorter here. Default 30,000.
   */
  readonly patienceMs?: number;
  /**
   * Milliseconds after which what a sink has sent is at the destination, or never will be. What a sink had sent when it
   * was aborted or lost the lease may show so long; what shows later was sent too late. Default 0: what is written is there.
   */
  readonly flightMs?: number;
}

/** One thing that must hold. */
export interface SinkCase {
  readonly name: string;
  /** @throws AssertionError what does not hold */
  readonly run: () => Promise<void>;
}
