/** A source of pseudo-random choices that a seed repeats exactly. Not for secrets. */
export interface SeededRandom {
  /** A fraction, 0 inclusive to 1 exclusive. */
  next(): number;
  /** A whole number, 0 inclusive to `limit` exclusive. */
  below(limit: number): number;
  /** One element. @throws RangeError when the list is empty */
  pick<T>(list: readonly T[]): T;
  /** A new list in another order. */
  shuffled<T>(list: readonly T[]): T[];
}

/**
 * @param seed any whole number; its low 32 bits count
 *
 * Source: mulberry32, by Tommy Ettinger, in the public domain.
 */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    pick<T>(list: readonly T[]): T {
      const picked = list[below(list.length)];
      if (picked === undefined) throw new RangeError('nothing to pick from');
      return picked;
    },
    shuffled<T>(list: readonly T[]): T[] {
      const result = [...list];
      for (let last = result.length - 1; last > 0; last -= 1) {
        const other = below(last + 1);
        const kept = result[last] as T;
        result[last] = result[other] as T;
        result[other] = kept;
      }
      return result;
    },
  };
}
