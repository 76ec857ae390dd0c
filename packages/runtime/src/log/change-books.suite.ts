import type pg from 'pg';
import type { LoggedEvent } from './outbox-event.ts';

/** What was committed, written down by whoever committed it: no table, no trigger. */
export class Books {
  /** Payloads by name, in the order of commits, by entity. */
  readonly #committed = new Map<string, Map<string, string>>();

  commit(events: readonly Draft[]): void {
    for (const { name, key, payload } of events) {
      const entity = this.#committed.get(key) ?? new Map<string, string>();
      this.#committed.set(key, entity.set(name, payload));
    }
  }

  /** What is wrong with what was read, by entity; nothing is as it should be. */
  faults(events: readonly LoggedEvent[]): Fault[] {
    const found = new Map<string, Map<string, Buffer>>();
    const faults: Fault[] = [];
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

/** What a reader got wrong. */
export interface Fault {
  readonly fault: 'lost' | 'twice' | 'phantom' | 'reordered' | 'other bytes';
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
    this.wrote(
      Array.from({ length: count }, (_, index) => ({
        name: `${name} ${index + 1}`,
        key: name,
        payload: `${index + 1}`,
      })),
    );
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
  }
}
