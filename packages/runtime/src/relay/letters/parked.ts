import { entityOf, type LoggedEvent } from '../../log/outbox-event.ts';

/** The entities with a dead letter, of a sink where later events wait behind it. */
export class Parked {
  #entities: ReadonlySet<string> = new Set();
  /** Added before {@link refresh} began to read: what it reads will have them. */
  #before: ReadonlySet<string> = new Set();
  /** Added since. */
  #since = new Set<string>();

  has({ event }: LoggedEvent): boolean {
    const entity = entityOf(event);
    return (
      entity !== undefined && [this.#entities, this.#before, this.#since].some((each) => each.has(entity))
    );
  }

  /** An event has become a dead letter, and that is stored. */
  add({ event }: LoggedEvent): void {
    const entity = entityOf(event);
    if (entity !== undefined) this.#since.add(entity);
  }

  /**
   * Takes over which entities have dead letters.
   *
   * @param read looks for them; what is added meanwhile stays
   */
  async refresh(read: () => Promise<ReadonlySet<string>>): Promise<ReadonlySet<string>> {
    const since = this.#since;
    this.#before = since;
    this.#since = new Set();
    try {
      this.#entities = await read();
    } catch (error) {
      for (const entity of since) this.#since.add(entity);
      throw error;
    } finally {
      this.#before = new Set();
    }
    return this.#entities;
  }
}
