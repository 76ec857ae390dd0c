import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Acker, type Ticket } from './acker.ts';
import { type Lsn, toLsn, zeroLsn } from './lsn.ts';

interface AckerLike {
  readonly confirmed: bigint;
  begin(): void;
  received(endLsn: bigint): Ticket;
  settle(ticket: Ticket): void;
  keepalive(walEnd: bigint): void;
}

type Flaw =
  | 'confirms what is received'
  | 'confirms what is settled, whatever is older'
  | 'confirms the last settled, also backwards'
  | 'keepalive ignores what is in flight'
  | 'keepalive ignores a transaction that is being received'
  | 'keepalive is forgotten while something is in flight'
  | 'settling twice counts twice';

/** The rules in their slowest form, looking at the whole history each time; or with one of them broken. */
class NaiveAcker implements AckerLike {
  confirmed = 0n;
  readonly #flaw: Flaw | undefined;
  readonly #all: { endLsn: Lsn; settled: boolean }[] = [];
  #open = false;
  #keepalive = 0n;
  #settlements = 0;

  constructor(flaw?: Flaw) {
    this.#flaw = flaw;
  }

  begin(): void {
    this.#open = true;
  }

  received(endLsn: bigint): Ticket {
    this.#open = false;
    const ticket = { endLsn: toLsn(endLsn), settled: false };
    this.#all.push(ticket);
    if (this.#flaw === 'confirms what is received') this.#raise(endLsn);
    return ticket;
  }

  settle(ticket: Ticket): void {
    const known = this.#all.find((one) => one === ticket);
    if (known === undefined) return;
    known.settled = true;
    this.#settlements += 1;
    if (this.#flaw === 'confirms what is settled, whatever is older') this.#raise(ticket.endLsn);
    if (this.#flaw === 'confirms the last settled, also backwards') this.confirmed = ticket.endLsn;
    const last = this.#all[this.#settlements - 1];
    if (this.#flaw === 'settling twice counts twice' && last !== undefined) this.#raise(last.endLsn);
    this.#update();
  }

  keepalive(walEnd: bigint): void {
    const idle = this.#all.every((one) => one.settled) && !this.#open;
    if (this.#flaw === 'keepalive is forgotten while something is in flight' && !idle) return;
    this.#keepalive = walEnd;
    if (this.#flaw === 'keepalive ignores what is in flight') this.#raise(walEnd);
    this.#update();
  }

  #update(): void {
    const unsettled = this.#all.findIndex((one) => !one.settled);
    const prefix = unsettled === -1 ? this.#all : this.#all.slice(0, unsettled);
    this.#raise(prefix.at(-1)?.endLsn ?? 0n);
    const open = this.#open && this.#flaw !== 'keepalive ignores a transaction that is being received';
    if (unsettled === -1 && !open) this.#raise(this.#keepalive);
  }

  #raise(lsn: bigint): void {
    if (lsn > this.confirmed) this.confirmed = lsn;
  }
}

type Step =
  | { readonly do: 'begin' | 'commit' | 'keepalive'; readonly wal: number }
  | { readonly do: 'settle'; readonly which: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('begin', 'commit', 'keepalive'), wal: fc.integer({ min: 1, max: 100 }) }),
    fc.record({ do: fc.constant('settle'), which: fc.nat(20) }),
  ),
  { maxLength: 60 },
) as fc.Arbitrary<Step[]>;

/**
 * Plays the steps as a server and a consumer would, and looks after each at what the invariants say of
 * the history. @returns the number of the first one that is broken
 */
function violated(acker: AckerLike, script: readonly Step[], trace: bigint[] = []): number | undefined {
  const tickets: { ticket: Ticket; settled: boolean }[] = [];
  let wal = 0n;
  let open = false;
  let last = 0n;
  for (const step of script) {
    const before = acker.confirmed;
    let again = false;
    if (step.do === 'settle') {
      const one = tickets[step.which % Math.max(1, tickets.length)];
      if (one === undefined) continue;
      again = one.settled;
      one.settled = true;
      acker.settle(one.ticket);
    } else {
      if ((step.do === 'begin') === open && step.do !== 'keepalive') continue;
      wal += BigInt(step.wal);
      if (step.do !== 'begin') last = wal;
      if (step.do === 'begin') acker.begin();
      if (step.do === 'commit') tickets.push({ ticket: acker.received(wal), settled: false });
      if (step.do === 'keepalive') acker.keepalive(wal);
      if (step.do !== 'keepalive') open = step.do === 'begin';
    }
    const { confirmed } = acker;
    trace.push(confirmed);
    const oldest = tickets.findIndex((one) => !one.settled);
    const inFlight = oldest !== -1 || open;
    if (tickets.some((one) => !one.settled && one.ticket.endLsn <= confirmed)) return 1;
    if (confirmed < before) return 2;
    if (again && confirmed !== before) return 5;
    if (inFlight && confirmed !== before && !tickets.some((one) => one.ticket.endLsn === confirmed)) return 3;
    const prefix = tickets[(oldest === -1 ? tickets.length : oldest) - 1]?.ticket.endLsn ?? 0n;
    if (confirmed < prefix || (!inFlight && confirmed !== last)) return 4;
  }
  return undefined;
}

const convictions: readonly (readonly [Flaw, readonly number[]])[] = [
  ['confirms what is received', [1]],
  ['confirms what is settled, whatever is older', [1]],
  ['confirms the last settled, also backwards', [1, 2]],
  ['keepalive ignores what is in flight', [1, 3]],
  ['keepalive ignores a transaction that is being received', [3]],
  ['keepalive is forgotten while something is in flight', [4]],
  ['settling twice counts twice', [1]],
];

describe('the acker', () => {
  test('keeps its invariants, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(steps, (script) => {
        expect(violated(new Acker() as AckerLike, script)).toBeUndefined();
      }),
      { numRuns: 3_000 },
    );
  });

  test('confirms at each step what the naive model confirms', () => {
    fc.assert(
      fc.property(steps, (script) => {
        const [real, model]: [bigint[], bigint[]] = [[], []];
        violated(new Acker() as AckerLike, script, real);
        violated(new NaiveAcker(), script, model);
        expect(real).toEqual(model);
      }),
      { numRuns: 1_000 },
    );
  });

  test('the model itself keeps the invariants', () => {
    fc.assert(
      fc.property(steps, (script) => {
        expect(violated(new NaiveAcker(), script)).toBeUndefined();
      }),
    );
  });

  test.each(convictions)('the invariants convict an acker that %s', (flaw, expected) => {
    const found = new Set<number>();
    for (let seed = 0; seed < 20; seed += 1) {
      for (const script of fc.sample(steps, { numRuns: 50, seed })) {
        const number = violated(new NaiveAcker(flaw), script);
        if (number !== undefined) found.add(number);
      }
    }
    expect([...found].toSorted((a, b) => a - b)).toEqual(expected);
  });

  test('(5) a ticket of another connection changes nothing', () => {
    const [old, current] = [new Acker(), new Acker()];
    old.begin();
    const stale = old.received(toLsn(50n));
    current.begin();
    current.received(toLsn(50n));
    current.settle(stale);
    expect(current.confirmed).toBe(zeroLsn);
    expect(current.inFlight).toBe(1);
  });

  test('(6) nesting and disorder are refused with ER3003', () => {
    const nested = new Acker();
    nested.begin();
    expect(() => nested.begin()).toThrow(/^ER3003/);
    expect(() => new Acker().received(toLsn(1n))).toThrow(/^ER3003/);
    const backwards = new Acker(toLsn(10n));
    backwards.begin();
    expect(() => backwards.received(toLsn(10n))).toThrow(/^ER3003/);
  });

  test('what the caller knows to be durable is confirmed from the start', () => {
    expect(new Acker(toLsn(7n)).confirmed).toBe(7n);
    expect(new Acker().confirmed).toBe(0n);
  });

  test('a hundred thousand transactions leave nothing behind, in whatever order they are settled', () => {
    const acker = new Acker();
    const tickets: Ticket[] = [];
    for (let end = 1n; end <= 100_000n; end += 1n) {
      acker.begin();
      tickets.push(acker.received(toLsn(end)));
      // Settled in pairs, the younger first; 20 000 stay behind.
      const age = tickets.length - 20_000;
      if (age > 0 && age % 2 === 0) {
        acker.settle(tickets[age - 1] as Ticket);
        acker.settle(tickets[age - 2] as Ticket);
        expect(acker.confirmed).toBe(BigInt(age));
        expect(acker.inFlight).toBe(20_000);
      }
    }
    for (const ticket of tickets) acker.settle(ticket);
    expect(acker.inFlight).toBe(0);
    expect(acker.confirmed).toBe(100_000n);
  });
});
