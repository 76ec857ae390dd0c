/**
 * Where a code of the catalogue is explained: those of the database and of operating it in a chapter of their own (what is
 * seen, why it matters, what to do), the others in their row of the reference page.
 */
export function errorPage(code: string): string {
  const page = code.startsWith('ER1') ? 'docs/operations/doctor.md' : 'docs/reference/errors.md';
  return `${page}#${code.toLowerCase()}`;
}
