/** What each side found, in the order of the sides. */
type Found<Sides extends ReadonlyArray<() => Promise<unknown>>> = {
  -readonly [Index in keyof Sides]: Awaited<ReturnType<Sides[Index]>>;
};

/**
 * Does each side once, one after another, and the other way round in every second run: no side is always the one
 * that finds the machine as another has left it.
 *
 * @param run from 0
 */
export async function inTurns<const Sides extends ReadonlyArray<() => Promise<unknown>>>(
  run: number,
  sides: Sides,
): Promise<Found<Sides>> {
  const numbered = sides.map((side, index) => ({ side, index }));
  const found: unknown[] = [];
  for (const { side, index } of run % 2 === 0 ? numbered : numbered.toReversed()) found[index] = await side();
  return found as Found<Sides>;
}
