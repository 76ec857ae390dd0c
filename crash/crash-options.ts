import { parseArgs } from 'node:util';
import { mutants } from './mutants/all.ts';
import type { Mutant } from './mutants/mutant.ts';

/** What a run is told. */
export interface CrashOptions {
  /** Kills in all, at least. */
  readonly kills: number;
  /** Kills with work in flight at each failpoint; 0: no failpoints. */
  readonly hits: number;
  /** Only at these; undefined: at all that can be reached. */
  readonly failpoints?: readonly string[] | undefined;
  /** How many of the kills follow upon a replica that is stopped past its lease, and continued. */
  readonly freezes: number;
  readonly seed: number;
  /** Committed events, at least. */
  readonly events: number;
  /** Events per second. */
  readonly rate: number;
  readonly postgres: '15' | '18';
  /** What the relay reads. */
  readonly sources: 'wal' | 'table';
  /** Undefined: the program as it is. */
  readonly mutant: Mutant | undefined;
  /** One JSON object on standard output at the end. */
  readonly json: boolean;
}

export const usage = `usage: npm run crash -- [options]

  --kills N        kills in all, at least (default 40)
  --hits N         kills with work in flight at each failpoint (default 3; 0 for none)
  --failpoints A,B only at these (default all that the sources reach)
  --freezes N      how many of the kills follow upon a replica that is stopped past its lease (default 3)
  --seed N         repeats a run's choices (default: a new one, printed)
  --events N       committed events, at least (default 2000)
  --rate N         events per second (default 150)
  --postgres 15|18 (default 18)
  --sources wal|table
                   what the relay reads (default wal, or what shows the mutant)
  --mutant NAME    a wrong program, which must be convicted
  --json           one object at the end

exit 0: nothing lost, invented, reordered or altered, and every failpoint was hit
exit 1: something was; 2: not a valid call; 3: the run itself failed

mutants:
${mutants.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}
`;

/** Reads the words after the program's name. @throws TypeError saying what is wrong with them */
export function readCrashOptions(args: readonly string[]): CrashOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '40' },
      hits: { type: 'string', default: '3' },
      failpoints: { type: 'string' },
      freezes: { type: 'string', default: '3' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
      events: { type: 'string', default: '2000' },
      rate: { type: 'string', default: '150' },
      postgres: { type: 'string', default: '18' },
      sources: { type: 'string' },
      mutant: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const mutant = values.mutant === undefined ? undefined : mutantOf(values.mutant);
  const { postgres, sources = mutant?.sources ?? 'wal' } = values;
  if (postgres !== '15' && postgres !== '18') throw new TypeError(`--postgres is 15 or 18, not ${postgres}`);
  if (sources !== 'wal' && sources !== 'table')
    throw new TypeError(`--sources is wal or table, not ${sources}`);
  return {
    kills: whole('kills', values.kills, 0),
    hits: whole('hits', values.hits, 0),
    failpoints: values.failpoints?.split(','),
    freezes: whole('freezes', values.freezes, 0),
    seed: whole('seed', values.seed, 0),
    events: whole('events', values.events, 0),
    rate: whole('rate', values.rate, 1),
    postgres,
    sources,
    mutant,
    json: values.json,
  };
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= least) return value;
  throw new TypeError(`--${name} is a whole number, ${least} or more, not ${JSON.stringify(text)}`);
}

function mutantOf(name: string): Mutant {
  const mutant = mutants.find((each) => each.name === name);
  if (mutant === undefined) {
    throw new TypeError(
      `there is no mutant ${name}; there are ${mutants.map((each) => each.name).join(', ')}`,
    );
  }
  return mutant;
}
