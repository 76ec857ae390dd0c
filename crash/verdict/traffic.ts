/** Events on their way, as far as the harness can tell at the moment: what was acknowledged, and what has come. */
export class Traffic {
  /** When COMMIT was answered, by event id; milliseconds since 1970 by our clock. */
  readonly #acknowledged = new Map<string, number>();
  readonly #firstArrival = new Map<string, number>();
  #outstanding = 0;
  #lastArrivalAt = 0;

  /** COMMIT was answered, and a crash of the server cannot take it back. */
  acknowledge(eventIds: readonly string[], at: number): void {
    for (const eventId of eventIds) {
      this.#acknowledged.set(eventId, at);
      if (!this.#firstArrival.has(eventId)) this.#outstanding += 1;
    }
  }

  arrive(eventId: string, at: number): void {
    if (this.#firstArrival.has(eventId)) return;
    this.#firstArrival.set(eventId, at);
    if (at > this.#lastArrivalAt) this.#lastArrivalAt = at;
    if (this.#acknowledged.has(eventId)) this.#outstanding -= 1;
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Different events that have come. */
  get arrived(): number {
    return this.#firstArrival.size;
  }

  /** Acknowledged and not yet come. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** When an event came for the first time, the last time that one did; 0: none has come. */
  get lastArrivalAt(): number {
    return this.#lastArrivalAt;
  }

  has(eventId: string): boolean {
    return this.#firstArrival.has(eventId);
  }

  /**
   * How many events were acknowledged before a moment and came after it, or not yet: work in flight at that moment.
   *
   * @param elsewhere when events came first to another place, where they had to come as well
   */
  inFlightAt(at: number, elsewhere?: ReadonlyMap<string, number>): number {
    const places = elsewhere === undefined ? [this.#firstArrival] : [this.#firstArrival, elsewhere];
    let count = 0;
    for (const [eventId, acknowledgedAt] of this.#acknowledged) {
      const late = places.some((came) => (came.get(eventId) ?? Number.POSITIVE_INFINITY) > at);
      if (acknowledgedAt < at && late) count += 1;
    }
    return count;
  }
}
