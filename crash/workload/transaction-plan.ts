import type { SeededRandom } from '@event-runtime/runtime/testing';

export interface PlannedEvent {
  readonly entityKey: string;
  readonly eventType: string;
  /** The payload as JSON text. */
  readonly text: string;
}

/** One transaction of a writer. */
export interface TransactionPlan {
  readonly tenant: string;
  /** Sorted by entity, so that two transactions never wait for each other in a circle. */
  readonly events: readonly PlannedEvent[];
  /** By the SQL function, or by the package `@event-runtime/outbox`. */
  readonly via: 'sql' | 'package';
  readonly ending: 'commit' | 'rollback';
  /** An event that is written and taken back by a savepoint, before the others or after them. */
  readonly undone: 'none' | 'first' | 'last';
  /** Milliseconds that it stays open before it ends, its entities locked. */
  readonly holdMs: number;
  /** False: COMMIT does not wait for the disk, and a crash of the server may take the transaction back. */
  readonly durable: boolean;
  /** Does not wait for its turn. */
  readonly burst: boolean;
}

export const tenants: readonly string[] = ['acme', 'globex'];

/** Some with characters that a subject may not contain, one with a route of its own into NATS. */
export const eventTypes = ['crash.counted', 'crash.counted:again/ago', 'crash.routed'] as const;

/** Few, so that many events share an entity. */
export const entitiesPerTenant = 10;

/** The next transaction. The same seed makes the same ones. */
export function planTransaction(random: SeededRandom): TransactionPlan {
  const via = random.below(3) === 0 ? 'package' : 'sql';
  const events = Array.from({ length: 1 + random.below(4) }, () => planEvent(random, via));
  return {
    tenant: random.pick(tenants),
    events: events.toSorted((a, b) => (a.entityKey < b.entityKey ? -1 : Number(a.entityKey > b.entityKey))),
    via,
    ending: random.below(100) < 8 ? 'rollback' : 'commit',
    undone: random.below(100) < 10 ? random.pick(['first', 'last'] as const) : 'none',
    holdMs: random.below(100) < 2 ? 1_000 : 0,
    durable: random.below(100) >= 12,
    burst: random.below(100) < 30,
  };
}

function planEvent(random: SeededRandom, via: TransactionPlan['via']): PlannedEvent {
  const entityKey = `entity-${random.below(entitiesPerTenant)}`;
  const value = {
    entity: entityKey,
    n: random.below(1_000_000),
    note: 'ação 😀 \u0000'.repeat(random.below(4)),
    fill: fill(random),
  };
  const text = JSON.stringify(value);
  const eventType = eventTypes[value.n % eventTypes.length] ?? eventTypes[0];
  // What JSON.stringify never makes must arrive byte for byte as well.
  return {
    entityKey,
    eventType,
    text: via === 'package' ? text : ` ${text.slice(0, -1)}, "n": 1.0,\t"n":9007199254740993 }`,
  };
}

/** Mostly short, seldom larger than a page of PostgreSQL, compressible and not. */
function fill(random: SeededRandom): string {
  const kind = random.below(50);
  if (kind === 0) return 'x'.repeat(40_000);
  const length = kind === 1 ? 2_000 : random.below(60);
  return Array.from({ length }, () => random.below(0x1_0000_0000).toString(36)).join('');
}
