/** Upper ends of the bars in milliseconds; what is beyond the last has a bar of its own. */
const bounds = [2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/**
 * A picture of durations for the terminal: one line for each range of time, as long a bar as it has
 * values, and their number. Empty ranges at both ends are left out.
 *
 * @param values milliseconds, in any order
 * @param width columns of the longest bar
 */
export function histogram(values: readonly number[], width: number): string[] {
  const counts = Array.from({ length: bounds.length + 1 }, () => 0);
  for (const value of values) {
    const found = bounds.findIndex((bound) => value < bound);
    const index = found === -1 ? bounds.length : found;
    counts[index] = (counts[index] ?? 0) + 1;
  }
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  const most = Math.max(...counts);
  return counts
    .map((count, index) => `${label(index)} ${bar((count / most) * width)}${count === 0 ? '' : ' '}${count}`)
    .filter((_, index) => first !== -1 && index >= first && index <= last);
}

/** A bar of so many columns; anything above zero is visible. */
export function bar(columns: number): string {
  const parts = columns > 0 ? Math.max(1, Math.round(columns * 8)) : 0;
  return '█'.repeat(Math.floor(parts / 8)) + (eighths[parts % 8] ?? '');
}

function label(index: number): string {
  const from = bounds[index - 1];
  const to = bounds[index];
  const text = to === undefined ? `over ${duration(from ?? 0)}` : `under ${duration(to)}`;
  return text.padStart(12);
}

/** `8.3 ms`, `250 ms`, `1.25 s` */
export function duration(milliseconds: number): string {
  if (milliseconds < 10) return `${Number(milliseconds.toFixed(1))} ms`;
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  return `${Number((milliseconds / 1_000).toFixed(2))} s`;
}
