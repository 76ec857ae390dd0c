import { describe, expect, test } from 'vitest';
import { Disturbed } from './disturbed.ts';
import { chosenOf, type Experiment, experiment, runExperiments } from './experiment.ts';
import { type Figure, plainFigure, ratioFigure } from './figure.ts';

const named = { label: 'x', unit: 's', budget: null };
const nothing = (): undefined => undefined;
const silent = { starting: nothing, done: nothing, repeating: nothing, brokeOff: nothing };

function measured(
  ids: readonly string[],
  figuresOf: (found: readonly number[]) => Figure[],
  runs = 3,
): Experiment {
  return experiment({
    ...{ name: ids.join(), ids, runs, expectedSeconds: 1, figuresOf },
    once: async (run) => run + 1,
  });
}

const plain = (id: string) => (found: readonly number[]) => [plainFigure({ id, ...named }, found)];

describe('experiments', () => {
  test('each is measured as often as it says, and all that was found makes its figures', async () => {
    const told: string[] = [];
    const { figures, failures } = await runExperiments(
      [measured(['A'], plain('A')), measured(['B'], plain('B'), 2)],
      { ...silent, starting: ({ name }, run) => told.push(`${name}${run}`) },
    );
    expect(told).toEqual(['A0', 'A1', 'A2', 'B0', 'B1']);
    expect(figures.map(({ id, runs, spread }) => [id, runs, ...spread])).toEqual([
      ['A', 3, 1, 3],
      ['B', 2, 1, 2],
    ]);
    expect(failures).toEqual([]);
  });

  test.each<[string, Experiment, string]>([
    ['measured once less', measured(['A'], (found) => plain('A')(found.slice(1))), 'A: A has 2 runs of 3'],
    ['missing', measured(['A', 'B'], plain('A')), 'A,B: it has the figures A, and should have A, B'],
    ['not announced', measured(['A'], plain('B')), 'A: it has the figures B, and should have A'],
    [
      'no number',
      measured(['A'], () => [plainFigure({ id: 'A', ...named }, [1, 2, Number.NaN])]),
      'A: A is no number: ',
    ],
    [
      'without what it is compared with',
      measured(['A'], (found) => [
        ratioFigure(
          { id: 'A', ...named },
          found.map((value) => [value, Number.NaN]),
        ),
      ]),
      'A: A is no number: ',
    ],
  ])('a figure that is %s is none, and is named; the others stay', async (_name, wrong, failure) => {
    const told: string[] = [];
    const outcome = await runExperiments([wrong, measured(['Z'], plain('Z'))], {
      ...silent,
      brokeOff: ({ name }, why) => told.push(`${name}: ${why}`),
    });
    expect(outcome.figures.map(({ id }) => id)).toEqual(['Z']);
    expect(outcome.failures).toHaveLength(1);
    expect(outcome.failures[0]).toContain(failure);
    expect(told).toEqual(outcome.failures);
  });

  test('one that throws does not take the figures of the others with it', async () => {
    const broken = experiment<number>({
      ...{ name: 'A', ids: ['A'], runs: 2, expectedSeconds: 1, figuresOf: plain('A') },
      once: async (run) => {
        if (run === 1) throw new Error('the server is gone');
        return 1;
      },
    });
    const { figures, failures } = await runExperiments([broken, measured(['Z'], plain('Z'))], silent);
    expect(figures.map(({ id }) => id)).toEqual(['Z']);
    expect(failures).toEqual(['A: the server is gone']);
  });

  test.each([
    [2, { failures: [], ids: ['A'], repeatedRuns: 2 }],
    [3, { failures: ['A: the lease was lost'], ids: [], repeatedRuns: 0 }],
  ])('a run that was disturbed %i times', async (times, expected) => {
    let left = times;
    const told: string[] = [];
    const disturbed = experiment<number>({
      ...{ name: 'A', ids: ['A'], runs: 2, expectedSeconds: 1, figuresOf: plain('A') },
      once: async (run) => {
        if (run === 0) return 1;
        left -= 1;
        if (left >= 0) throw new Disturbed('the lease was lost');
        return 2;
      },
    });
    const { figures, failures, repeatedRuns } = await runExperiments([disturbed], {
      ...silent,
      repeating: ({ name }, why) => told.push(`${name}: ${why}`),
    });
    expect({ failures, ids: figures.map(({ id }) => id), repeatedRuns }).toEqual(expected);
    expect(told).toEqual(['A: the lease was lost', 'A: the lease was lost']);
  });

  test('wishes choose by the beginnings of ids', () => {
    const all = [['A', 'A-hot'], ['B-hot'], ['C']].map((ids) => measured(ids, plain('x')));
    const chosen = (...only: string[]) => chosenOf(all, only).map(({ name }) => name);
    expect(chosen('A-h', 'C')).toEqual(['A,A-hot', 'C']);
    expect(chosen('B')).toEqual(['B-hot']);
    expect(chosen('hot')).toEqual([]);
    expect(chosenOf(all)).toHaveLength(3);
  });
});
