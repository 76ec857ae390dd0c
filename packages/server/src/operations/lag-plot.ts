const blocks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

export interface PlotOptions {
  /** Columns of the plot itself, behind its axis. The newest values are shown. */
  readonly width: number;
  readonly height: number;
  /** A value as the axis has it. */
  readonly label: (value: number) => string;
}

/** Values over time as filled columns, with an axis: the newest on the right, null where nothing is known. */
export function plot(values: ReadonlyArray<number | null>, options: PlotOptions): string[] {
  const { width, height, label } = options;
  const shown = values.slice(-width);
  const top = Math.max(1, ...shown.map((value) => value ?? 0));
  const [high, low] = [label(top), label(0)];
  const margin = Math.max(high.length, low.length);
  return Array.from({ length: height }, (_, row) => {
    const fromBottom = height - 1 - row;
    const bottom = fromBottom === 0 ? low : '';
    const axis = row === 0 ? high : bottom;
    const columns = shown.map((value) => column(value, { top, height, fromBottom })).join('');
    return `${axis.padStart(margin)} ┤${columns.padStart(width)}`;
  });
}

/** The part of a value's column that lies in one row; the least is seen, be it ever so little. */
function column(
  value: number | null,
  at: { readonly top: number; readonly height: number; readonly fromBottom: number },
): string {
  if (value === null) return ' ';
  const eighths = Math.max(Math.round((value / at.top) * at.height * 8), value > 0 ? 1 : 0);
  const here = Math.min(Math.max(eighths - at.fromBottom * 8, 0), 8);
  return blocks[here] ?? ' ';
}
