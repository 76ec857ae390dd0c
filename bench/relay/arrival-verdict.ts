/** What a sink has got of all events. */
export interface Verdict {
  /** Events that it has not got. */
  readonly lost: number;
  /** Events that came after a later one of their entity. */
  readonly reordered: number;
  /** Beyond one for each event. */
  readonly duplicates: number;
}

/** Judges what a sink has, in its order: each event by its own number in the database, and when it comes first. */
export class ArrivalVerdict {
  readonly #seen = new Set<string>();
  readonly #last = new Map<string, bigint>();
  #reordered = 0;
  #duplicates = 0;

  /** @param attributes of the envelope, in small letters */
  add(attributes: Readonly<Record<string, string>>): void {
    const { id = '', seq = '0', entitykey: entity = '' } = attributes;
    if (this.#seen.has(id)) {
      this.#duplicates += 1;
      return;
    }
    this.#seen.add(id);
    if (BigInt(seq) < (this.#last.get(entity) ?? 0n)) this.#reordered += 1;
    this.#last.set(entity, BigInt(seq));
  }

  /** @param events how many it should have */
  of(events: number): Verdict {
    return { lost: events - this.#seen.size, reordered: this.#reordered, duplicates: this.#duplicates };
  }
}
