import { describe, expect, test } from 'vitest';
import { median, plainFigure, ratioFigure, worstFigure } from './figure.ts';

const name = { id: 'X', label: 'x', unit: 'µs', budget: 1.1 };

describe('figures', () => {
  test('the ratio is the median of the runs’ ratios, not the ratio of the medians', () => {
    const figure = ratioFigure(name, [
      [10, 10],
      [30, 20],
      [44, 40],
    ]);
    expect(figure).toMatchObject({ value: 30, reference: 20, ratio: 1.1, runs: 3, spread: [1, 1.5] });
  });

  test('a budget is met up to and with its bound, by the unrounded ratio', () => {
    expect(ratioFigure(name, [[1.1, 1]]).met).toBe(true);
    expect(ratioFigure(name, [[1.100_001, 1]]).met).toBe(false);
    expect(ratioFigure({ ...name, budget: null }, [[9, 1]]).met).toBeNull();
  });

  test('without a reference the value is what counts', () => {
    const figure = plainFigure({ ...name, budget: 1 }, [1, 1, 2]);
    expect(figure).toMatchObject({ value: 1, reference: null, ratio: null, met: true, spread: [1, 2] });
  });

  test('what must hold in every run is judged by the worst one', () => {
    expect(worstFigure({ ...name, budget: 1 }, [1, 1, 2])).toMatchObject({ value: 2, met: false, runs: 3 });
    const least = { ...name, budget: 1, goal: 'at least' } as const;
    expect(worstFigure(least, [2, 0.5, 2])).toMatchObject({ value: 0.5, met: false });
    expect(worstFigure(least, [2, 1, 2])).toMatchObject({ value: 1, met: true, spread: [1, 2] });
  });

  test('median', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });
});
