import type { Consumer } from '../relay-fixture.suite.ts';

/** What shows that the run could have gone wrong. */
export interface SeamTeeth {
  readonly joins: number;
  /** Why sinks left. */
  readonly left: Readonly<Record<string, number>>;
  /** Joins at which a commit was in the WAL and not visible. */
  readonly joinsOverHeld: number;
  /** Events of such commits that the joining sink was then given from the WAL: what a filter by LSN would have lost. */
  readonly carried: number;
}

interface Join {
  readonly sink: string;
  /** How many events the sink had. */
  readonly had: number;
  /** Which commits were held. */
  readonly hold: number;
}

/** What happened at the seam, as the log and the sinks tell it. */
export class SeamRecord {
  readonly #joins: Join[] = [];
  readonly #left: Record<string, number> = {};
  readonly #consumers = new Map<string, Consumer>();
  readonly #held = new Map<number, string[]>();
  /** 0: nothing is held. */
  #hold = 0;

  get joins(): number {
    return this.#joins.length;
  }

  /** For how many reasons sinks have left. */
  get reasons(): number {
    return Object.keys(this.#left).length;
  }

  follow(consumer: Consumer): void {
    this.#consumers.set(consumer.name, consumer);
  }

  /** A line of the relay's log. */
  say(line: Readonly<Record<string, unknown>>): void {
    const sink = String(line['sink']);
    if (line['event'] === 'relay.sink.joined') {
      this.#joins.push({ sink, had: this.#consumers.get(sink)?.events.length ?? 0, hold: this.#hold });
    }
    if (line['event'] === 'relay.sink.left') {
      const reason = String(line['reason']);
      this.#left[reason] = (this.#left[reason] ?? 0) + 1;
    }
  }

  /** From now on the commits of this hold are known to be in the WAL, and invisible. */
  beginHold(hold: number): void {
    this.#hold = hold;
  }

  /** They are about to be released. */
  endHold(): void {
    this.#hold = 0;
  }

  /** What a held commit had. */
  held(hold: number, eventIds: readonly string[]): void {
    this.#held.set(hold, [...(this.#held.get(hold) ?? []), ...eventIds]);
  }

  teeth(): SeamTeeth {
    const over = this.#joins.filter(({ hold }) => hold > 0);
    let carried = 0;
    for (const { sink, had, hold } of over) {
      const held = new Set(this.#held.get(hold));
      const after = this.#consumers.get(sink)?.events.slice(had) ?? [];
      for (const { event, position } of after) {
        if (position !== null && held.delete(event.eventId)) carried += 1;
      }
    }
    return { joins: this.joins, left: this.#left, joinsOverHeld: over.length, carried };
  }
}
