import type { Figure } from '../measure/figure.ts';
import type { BenchReport } from './report.ts';

/** The report for people: a table, a plot of the ratios, and where it was measured. */
export function terminalReport(report: BenchReport): string {
  return [
    table(report.figures),
    plot(report.figures),
    `machine   ${sentence({ ...report.machine })}`,
    `versions  ${sentence(report.versions)}`,
    `settings  ${sentence(report.settings)}`,
    '',
  ].join('\n');
}

function table(figures: readonly Figure[]): string {
  const head = ['', 'value', 'reference', 'unit', 'ratio', 'spread', 'budget', '', 'what'];
  const rows = figures.map((figure) => [
    figure.id,
    text(figure.value),
    text(figure.reference),
    figure.unit,
    text(figure.ratio),
    figure.spread.map(text).join(' – '),
    figure.budget === null ? '' : `${figure.goal === 'at least' ? '≥' : '≤'} ${figure.budget}`,
    verdict(figure),
    figure.label,
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)),
  );
  const lines = [head, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

const width = 60;

/** Each ratio from the smallest to the largest of its runs (`─`), its median (`●`) and its budget (`│`). */
function plot(figures: readonly Figure[]): string {
  const shown = figures.filter((figure) => figure.ratio !== null);
  if (shown.length === 0) return '';
  const all = shown.flatMap((figure) => [...figure.spread, figure.budget ?? 1]);
  const low = Math.min(...all, 1);
  const high = Math.max(...all);
  const at = (ratio: number): number => Math.round(((ratio - low) / (high - low || 1)) * (width - 1));
  const label = Math.max(...shown.map(({ id }) => id.length));
  const lines = shown.map((figure) => {
    const cells = Array.from({ length: width }, () => ' ');
    cells.fill('─', at(figure.spread[0]), at(figure.spread[1]) + 1);
    if (figure.budget !== null) cells[at(figure.budget)] = '│';
    cells[at(figure.ratio ?? low)] = '●';
    return `${figure.id.padEnd(label)}  ${cells.join('').trimEnd()}`;
  });
  const scale = `${low.toFixed(2)}${high.toFixed(2).padStart(width - low.toFixed(2).length)}`;
  return `${['ratio (● median, ─ all runs, │ budget)', ...lines, `${' '.repeat(label)}  ${scale}`].join('\n')}\n`;
}

function verdict(figure: Figure): string {
  if (figure.met === null) return '';
  return figure.met ? 'met' : 'MISSED';
}

function text(value: number | null): string {
  return value === null ? '' : String(value);
}

function sentence(entries: Readonly<Record<string, string | number>>): string {
  return Object.entries(entries)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
