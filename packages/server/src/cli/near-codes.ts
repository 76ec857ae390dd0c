/**
 * The codes that were probably meant, at most three: those with one other digit or two swapped, the nearest
 * first. Empty for what is no code at all.
 */
export function nearCodes(given: string, known: readonly string[]): string[] {
  if (!/^ER\d{4}$/.test(given)) return [];
  const ranked = known.map((code) => ({ code, digits: otherDigits(code, given), apart: apart(code, given) }));
  return ranked
    .filter(({ digits }) => digits <= 1)
    .toSorted((a, b) => a.digits - b.digits || a.apart - b.apart)
    .slice(0, 3)
    .map(({ code }) => code);
}

/** In how many places they differ; two digits that are swapped count once. */
function otherDigits(code: string, given: string): number {
  const places = [2, 3, 4, 5].filter((at) => code[at] !== given[at]);
  const [first = 0, second = 0] = places;
  const swapped =
    places.length === 2 &&
    second === first + 1 &&
    code[first] === given[second] &&
    code[second] === given[first];
  return swapped ? 1 : places.length;
}

function apart(code: string, given: string): number {
  return Math.abs(Number(code.slice(2)) - Number(given.slice(2)));
}
