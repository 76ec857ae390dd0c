/** One measured figure, as `--json` prints it. */
export interface Figure {
  /** The budget's name, for example `E1`; a figure without a budget has a suffix that says what it is. */
  readonly id: string;
  /** What was measured against what, in one line. */
  readonly label: string;
  /** Median over the runs, in `unit`; of what must hold in every run, the worst (see {@link worstFigure}). */
  readonly value: number;
  readonly unit: string;
  /** The reference's median in the same runs, in the same unit; null where there is none. */
  readonly reference: number | null;
  /** Median over the runs of value / reference, each of one run; null where there is no reference. */
  readonly ratio: number | null;
  /** What the ratio, or without a reference the value, may be at most (see {@link goal}); null where it only informs. */
  readonly budget: number | null;
  /** Whether the budget is the most or the least. */
  readonly goal: 'at most' | 'at least';
  /** Null where there is no budget. */
  readonly met: boolean | null;
  readonly runs: number;
  /** Smallest and largest ratio (without a reference: value) of the runs. */
  readonly spread: readonly [number, number];
}

/** What a figure is called, and what it may be. */
export type FigureName = Pick<Figure, 'id' | 'label' | 'unit' | 'budget'> & {
  /** Default `at most`. */
  readonly goal?: Figure['goal'];
};

/**
 * A figure of paired runs.
 *
 * @param pairs one `[value, reference]` per run
 */
export function ratioFigure(name: FigureName, pairs: ReadonlyArray<readonly [number, number]>): Figure {
  const ratios = pairs.map(([value, reference]) => value / reference);
  const ratio = median(ratios);
  return {
    id: name.id,
    label: name.label,
    value: rounded(median(pairs.map(([value]) => value))),
    unit: name.unit,
    reference: rounded(median(pairs.map(([, reference]) => reference))),
    ratio: rounded(ratio),
    budget: name.budget,
    goal: name.goal ?? 'at most',
    met: met(name, ratio),
    runs: pairs.length,
    spread: range(ratios),
  };
}

/** A figure that stands for itself. @param values one per run */
export function plainFigure(name: FigureName, values: readonly number[]): Figure {
  return figureOfValues(name, { value: median(values), values });
}

/** A figure that stands for itself and must hold in every run: the worst one counts. @param values one per run */
export function worstFigure(name: FigureName, values: readonly number[]): Figure {
  const value = name.goal === 'at least' ? Math.min(...values) : Math.max(...values);
  return figureOfValues(name, { value, values });
}

function figureOfValues(
  name: FigureName,
  { value, values }: { readonly value: number; readonly values: readonly number[] },
): Figure {
  return {
    id: name.id,
    label: name.label,
    value: rounded(value),
    unit: name.unit,
    reference: null,
    ratio: null,
    budget: name.budget,
    goal: name.goal ?? 'at most',
    met: met(name, value),
    runs: values.length,
    spread: range(values),
  };
}

function met({ budget, goal }: FigureName, value: number): boolean | null {
  if (budget === null) return null;
  return goal === 'at least' ? value >= budget : value <= budget;
}

/** The middle value; the mean of the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function range(values: readonly number[]): readonly [number, number] {
  return [rounded(Math.min(...values)), rounded(Math.max(...values))];
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
