/**
 * The bytes of texts in UTF-8, where they are more than the limit; undefined where they are not.
 *
 * A UTF-16 unit takes at most three bytes: as a rule nothing has to be counted.
 */
export function bytesBeyond(limit: number, texts: readonly string[]): number | undefined {
  const units = texts.reduce((sum, text) => sum + text.length, 0);
  if (units * 3 <= limit) return undefined;
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes > limit ? bytes : undefined;
}
