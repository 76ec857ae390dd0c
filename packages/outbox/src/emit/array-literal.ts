/**
 * A PostgreSQL array literal of texts. Sent as one text parameter and cast in SQL (`$1::text::text[]`),
 * it works alike in every driver, none of which agree on how to send an array.
 *
 * Texts alone: a session with `array_nulls = off` reads an element `NULL` as that word.
 */
export function arrayLiteral(values: readonly string[]): string {
  return `{${values.map(quote).join(',')}}`;
}

/**
 * An array literal escapes the quote and the backslash, with a backslash, and nothing else. For a text
 * without control characters and surrogates that is what `JSON.stringify` does, several times faster than
 * a replacement.
 */
function quote(value: string): string {
  return /[\0-\x1f\ud800-\udfff]/.test(value)
    ? `"${value.replaceAll(/["\\]/g, '\\$&')}"`
    : JSON.stringify(value);
}
