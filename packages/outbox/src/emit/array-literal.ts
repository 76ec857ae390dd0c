/**
 * A PostgreSQL array literal of texts. Sent as one text parameter and cast in SQL (`$1::text::json[]`),
 * it works alike in every driver, none of which agree on how to send an array.
 */
export function arrayLiteral(values: ReadonlyArray<string | null>): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quote(value))).join(',')}}`;
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
