import type { Outcome } from './publish-in-order.ts';

/**
 * How a message goes. `free`: in an atomic batch, if there is one. `one by one`: it waits for those of its entity only.
 * `alone`: nothing else is on its way meanwhile.
 */
export type Care = 'free' | 'one by one' | 'alone';

/** How a connection ended. */
export interface Ending {
  /** What the server said against what it was sent; undefined: nothing. */
  readonly fault: string | undefined;
}

interface Doubt {
  /** Connections that ended while it was on its way. */
  endings: number;
  /** Those over which the server found fault with what was sent, which was nothing else. */
  blamed: number;
  fault: string | undefined;
}

/** So often alone at the end of a connection that the server found fault with: it is the message. */
const blamedAtMost = 2;

/**
 * Messages that were refused, or whose answer did not come: one of them would refuse a whole atomic batch, or may be why
 * the connection ended. Kept until they are settled, so that one message stops only itself.
 */
export class Doubts {
  readonly #doubts = new Map<string, Doubt>();

  careOf(id: string): Care {
    const doubt = this.#doubts.get(id);
    if (doubt === undefined) return 'free';
    return doubt.fault !== undefined || doubt.endings > 1 ? 'alone' : 'one by one';
  }

  /** Connections that ended while it was on its way: what has more goes later. */
  endingsOf(id: string): number {
    return this.#doubts.get(id)?.endings ?? 0;
  }

  /** Why it can never be stored; undefined: it may. */
  poisonOf(id: string): string | undefined {
    const doubt = this.#doubts.get(id);
    if (doubt === undefined || doubt.blamed < blamedAtMost) return undefined;
    return `the server ended the connection over it: ${doubt.fault ?? 'no reason given'}`;
  }

  /** @param ending undefined: the connection is still there */
  note(id: string, outcome: Outcome, ending: Ending | undefined): void {
    if (outcome.type === 'unsent') return;
    if (outcome.type === 'stored') {
      this.#doubts.delete(id);
      return;
    }
    const doubt = this.#doubts.get(id) ?? { endings: 0, blamed: 0, fault: undefined };
    if (outcome.type === 'unknown' && ending !== undefined) {
      if (ending.fault !== undefined && this.careOf(id) === 'alone') doubt.blamed += 1;
      doubt.endings += 1;
      doubt.fault = ending.fault ?? doubt.fault;
    }
    this.#doubts.set(id, doubt);
  }

  /** Of what can never be stored nothing is kept. */
  forget(id: string): void {
    this.#doubts.delete(id);
  }
}
