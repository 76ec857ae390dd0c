/** Rows under a heading, in columns as wide as they need to be; all but the first column are aligned to the right. */
export function table(heading: readonly string[], rows: ReadonlyArray<readonly string[]>): string[] {
  const all = [heading, ...rows];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
