/**
 * A PostgreSQL array literal of texts. Sent as one text parameter and cast in SQL (`$1::text::json[]`),
 * it works alike in every driver, none of which agree on how to send an array.
 */
export function arrayLiteral(values: ReadonlyArray<string | null>): string {
  return `{${values.map((value) => (value === null ? 'NULL' : quote(value))).join(',')}}`;
}

function quote(value: string): string {
  return `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
}
