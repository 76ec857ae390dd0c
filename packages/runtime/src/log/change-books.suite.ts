import type pg from 'pg';
import type { LoggedEvent } from './outbox-event.ts';

/** What was committed, written down by whoever committed it: no table, no trigger. */
export class Books {
  /** Payloads by name, in the order of commits, by entity. */
  readonly #committed = new Map<string, Map<string, string>>();
  readonly #bulks = new Map<string, Bulk>();

  commit(events: readonly Draft[]): void {
    for (const { name, key, payload } of events) {
      const entity = this.#committed.get(key) ?? new Map<string, string>();
      this.#committed.set(key, entity.set(name, payload));
    }
  }

  commitBulk(bulk: Bulk): void {
    this.#bulks.set(bulk.name, bulk);
  }

  /** Checks those of {@link Bulk}s, in the order in which they came, and gives the others: only these need be kept. */
  checkOff(events: readonly LoggedEvent[]): LoggedEvent[] {
    if (this.#bulks.size === 0) return [...events];
    return events.filter((logged) => {
      const bulk = this.#bulks.get(logged.event.entityKey ?? '');
      bulk?.check(logged);
      return bulk === undefined;
    });
  }

  /** What is wrong with what was read, by entity; nothing is as it should be. `events`: as {@link checkOff} gave them. */
  faults(events: readonly LoggedEvent[]): Fault[] {
    const found = new Map<string, Map<string, Buffer>>();
    const faults = [...this.#bulks.values()].flatMap((bulk) => bulk.faults());
    for (const { event } of events) {
      const key = event.entityKey ?? '';
      const entity = found.get(key) ?? new Map<string, Buffer>();
      if (entity.has(event.eventType)) faults.push({ fault: 'twice', name: event.eventType });
      found.set(key, entity.set(event.eventType, event.payload));
    }
    for (const [key, entity] of found) {
      const committed = this.#committed.get(key);
      for (const [name, bytes] of entity) {
        const payload = committed?.get(name);
        if (payload === undefined) faults.push({ fault: 'phantom', name });
        else if (!bytes.equals(Buffer.from(payload))) faults.push({ fault: 'other bytes', name });
      }
    }
    for (const [key, committed] of this.#committed) {
      const names = [...(found.get(key)?.keys() ?? [])];
      const expected = [...committed.keys()];
      for (const name of expected)
        if (found.get(key)?.has(name) !== true) faults.push({ fault: 'lost', name });
      const inOrder = names.every((name, index) => name === expected[index]);
      if (names.length === expected.length && !inOrder) faults.push({ fault: 'reordered', name: key });
    }
    return faults;
  }
}

/** After so many faults a bulk says no more. */
const enoughFaults = 10;

/**
 * An entity of its own, with one transaction of so many events that they are counted off as they come: the n-th to come
 * must be the n-th that was written. So each comes exactly once and in order, and none of them is kept.
 */
export class Bulk {
  readonly name: string;
  readonly #count: number;
  readonly #faults: Fault[] = [];
  /** Number of the event that should come next, from 1. */
  #next = 1;
  #last: LoggedEvent | undefined;

  constructor(name: string, count: number) {
    this.name = name;
    this.#count = count;
  }

  check(logged: LoggedEvent): void {
    const { eventType, payload } = logged.event;
    const number = Number(eventType.slice(this.name.length + 1));
    if (number < this.#next) this.#wrong('twice', eventType);
    else if (number > this.#count || eventType !== `${this.name} ${number}`)
      this.#wrong('phantom', eventType);
    else {
      for (; this.#next < number && this.#faults.length < enoughFaults; this.#next += 1)
        this.#wrong('lost', `${this.name} ${this.#next}`);
      if (!payload.equals(Buffer.from(`${number}`))) this.#wrong('other bytes', eventType);
      this.#next = number + 1;
      this.#checkPlace(logged, number);
      this.#last = logged;
    }
  }

  /** `seq` rises within one transaction; where there are ordinals, they are contiguous and of one commit. */
  #checkPlace({ event, txId, position }: LoggedEvent, number: number): void {
    const last = this.#last;
    if (last !== undefined && (event.seq <= last.event.seq || txId !== last.txId))
      this.#wrong('reordered', event.eventType);
    if (position === null) return;
    const lsn = last === undefined ? position.lsn : last.position?.lsn;
    if (position.ordinal !== number - 1 || position.lsn !== lsn) this.#wrong('misplaced', event.eventType);
  }

  /** To be asked when all must have come. */
  faults(): Fault[] {
    if (this.#next > this.#count) return this.#faults;
    return [...this.#faults, { fault: 'lost', name: `${this.name} ${this.#next} to ${this.#count}` }];
  }

  #wrong(fault: Fault['fault'], name: string): void {
    if (this.#faults.length < enoughFaults) this.#faults.push({ fault, name });
  }
}

/** What a reader got wrong. */
export interface Fault {
  readonly fault: 'lost' | 'twice' | 'phantom' | 'reordered' | 'misplaced' | 'other bytes';
  readonly name: string;
}

/** An event as it was emitted. Names are unique within an entity. */
export interface Draft {
  readonly name: string;
  readonly key: string;
  readonly payload: string;
}

/** A transaction that is under way, and what it will have committed. */
export class Writing {
  readonly client: pg.Client;
  readonly #books: Books;
  readonly #bulks: Bulk[] = [];
  #drafts: Draft[] = [];

  constructor(client: pg.Client, books: Books) {
    this.client = client;
    this.#books = books;
  }

  /** Takes the entity's lock first, as an application does that changes the entity. */
  async emit(
    name: string,
    options: { readonly key?: string; readonly payload?: string } = {},
  ): Promise<void> {
    const { key = 'entity', payload = `{"name":  "${name}"}` } = options;
    await this.client.query(
      `select 1 from event_runtime.emit(event_type => $1, payload => $2, tenant_id => 'acme', entity_key => $3,
         lock_entity => true)`,
      [name, payload, key],
    );
    this.#drafts.push({ name, key, payload });
  }

  /** So many events of an entity of their own, in one statement. */
  async bulk(name: string, count: number): Promise<void> {
    await this.client.query(
      `insert into event_runtime.outbox (event_id, tenant_id, event_type, entity_key, payload)
       select gen_random_uuid(), 'acme', $1 || ' ' || g, $1, to_json(g) from generate_series(1, $2) g`,
      [name, count],
    );
    this.#bulks.push(new Bulk(name, count));
  }

  wrote(drafts: readonly Draft[]): void {
    for (const draft of drafts) this.#drafts.push(draft);
  }

  /** What stands after a mark is undone. */
  get mark(): number {
    return this.#drafts.length;
  }

  async rollbackTo(savepoint: string, mark: number): Promise<void> {
    await this.client.query(`rollback to ${savepoint}`);
    this.#drafts = this.#drafts.slice(0, mark);
  }

  /** `statement`: what ends the transaction. */
  async commit(statement = 'commit'): Promise<void> {
    await this.client.query(statement);
    this.#books.commit(this.#drafts);
    for (const bulk of this.#bulks) this.#books.commitBulk(bulk);
  }
}
