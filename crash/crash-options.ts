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
  /** Servers of a NATS sink beside the webhooks and the file; 0: there is none. */
  readonly nats: 0 | 1 | 3;
  /** What becomes of later events of an entity that has a dead letter in the stream: they go on, or wait behind it. */
  readonly afterDeadLetter: 'continue' | 'wait';
  /** Whether replays, redrives and rewinds are ordered meanwhile. */
  readonly operated: boolean;
  /** Undefined: the program as it is. */
  readonly mutant: Mutant | undefined;
  /** One JSON object on standard output at the end. */
  readonly json: boolean;
}

export const usage = `usage: npm run crash -- [options]

  --kills N        kills in all, at least (default 40, or as many as show the mutant)
  --hits N         kills with work in flight at each failpoint (default 3; 0 for none, the default with most mutants)
  --failpoints A,B only at these (default all that the sources reach)
  --freezes N      how many of the kills follow upon a replica that is stopped past its lease (default 3,
                   or as many as show the mutant)
  --seed N         repeats a run's choices (default: a new one, printed)
  --events N       committed events, at least (default 2000, with a mutant 1000)
  --rate N         events per second (default 150)
  --postgres 15|18 (default 18)
  --sources wal|table
                   what the relay reads (default wal, or what shows the mutant)
  --sink nats      a sink into NATS JetStream beside the webhooks and the file, its server killed like the others
  --nodes 1|3      how many servers (default 1); of three the leader is killed, and now and then all
  --after-dead-letter continue|wait
                   what becomes of later events of an entity with a dead letter in the stream (default continue); with
                   wait the stream must have each entity in order, letters included
  --mutant NAME    a wrong program, which must be convicted
  --json           one object at the end

Meanwhile replays and rewinds are ordered, with --sink nats redrives of dead letters as well; with a mutant only where
they show it.

exit 0: nothing lost, invented, reordered or altered, every failpoint hit; with --mutant: it is convicted
exit 1: something was; with --mutant: it is not convicted
exit 2: not a valid call
exit 3: no verdict: nothing came any more, a failpoint was hit too seldom, or the run itself failed

"outcome" in the object of --json says the same: clean or convicted; faulty or not-convicted; stalled, short or
failed (then with "message", and nothing else). With a mutant a run takes one to three minutes, on a machine that has
nothing else to do.

mutants:
${mutants.map(({ name, about }) => `  ${name.padEnd(20)} ${about}`).join('\n')}
`;

type Usual = Pick<
  CrashOptions,
  'kills' | 'hits' | 'failpoints' | 'freezes' | 'events' | 'sources' | 'nats' | 'afterDeadLetter' | 'operated'
>;

/** What a run is where nothing else is asked for. */
const ofTheProgram: Usual = {
  kills: 40,
  hits: 3,
  freezes: 3,
  events: 2_000,
  sources: 'wal',
  nats: 0,
  afterDeadLetter: 'continue',
  operated: true,
};

/** What shows a mutant, and soon: a fault need not come at every failpoint. */
function ofMutant(mutant: Mutant): Usual {
  const { kills, failpoints, freezes = 0, sources, nats = 0, operated = false } = mutant;
  const { afterDeadLetter = 'continue' } = mutant;
  const hits = failpoints === undefined ? 0 : ofTheProgram.hits;
  return { kills, hits, failpoints, freezes, events: 1_000, sources, nats, afterDeadLetter, operated };
}

/** Reads the words after the program's name. @throws TypeError saying what is wrong with them */
export function readCrashOptions(args: readonly string[]): CrashOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string' },
      hits: { type: 'string' },
      failpoints: { type: 'string' },
      freezes: { type: 'string' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
      events: { type: 'string' },
      rate: { type: 'string', default: '150' },
      postgres: { type: 'string', default: '18' },
      sources: { type: 'string' },
      sink: { type: 'string' },
      nodes: { type: 'string' },
      'after-dead-letter': { type: 'string' },
      mutant: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const mutant = values.mutant === undefined ? undefined : mutantOf(values.mutant);
  const usual = mutant === undefined ? ofTheProgram : ofMutant(mutant);
  const { postgres, sources = usual.sources } = values;
  if (postgres !== '15' && postgres !== '18') throw new TypeError(`--postgres is 15 or 18, not ${postgres}`);
  if (sources !== 'wal' && sources !== 'table')
    throw new TypeError(`--sources is wal or table, not ${sources}`);
  const afterDeadLetter = values['after-dead-letter'] ?? usual.afterDeadLetter;
  if (afterDeadLetter !== 'continue' && afterDeadLetter !== 'wait')
    throw new TypeError(`--after-dead-letter is continue or wait, not ${afterDeadLetter}`);
  const nats = natsOf(values, usual.nats);
  if (afterDeadLetter === 'wait' && nats === 0)
    throw new TypeError('--after-dead-letter wait wants --sink nats');
  const asked = values.failpoints?.split(',');
  const hits = whole('hits', values.hits ?? (asked === undefined ? usual : ofTheProgram).hits, 0);
  if (asked !== undefined && hits === 0) throw new TypeError('--failpoints wants --hits of 1 or more');
  return {
    kills: whole('kills', values.kills ?? usual.kills, 0),
    hits,
    failpoints: asked ?? usual.failpoints,
    freezes: whole('freezes', values.freezes ?? usual.freezes, 0),
    seed: whole('seed', values.seed, 0),
    events: whole('events', values.events ?? usual.events, 0),
    rate: whole('rate', values.rate, 1),
    postgres,
    sources,
    nats,
    afterDeadLetter,
    operated: usual.operated,
    mutant,
    json: values.json,
  };
}

function natsOf(
  { sink, nodes }: { readonly sink?: string | undefined; readonly nodes?: string | undefined },
  usual: CrashOptions['nats'],
): CrashOptions['nats'] {
  if (sink !== undefined && sink !== 'nats') throw new TypeError(`--sink is nats, not ${sink}`);
  if (nodes !== undefined && nodes !== '1' && nodes !== '3') {
    throw new TypeError(`--nodes is 1 or 3, not ${nodes}`);
  }
  if (sink === undefined && nodes !== undefined && usual === 0)
    throw new TypeError('--nodes wants --sink nats');
  if (nodes !== undefined) return nodes === '1' ? 1 : 3;
  return sink === undefined || usual !== 0 ? usual : 1;
}

function whole(name: string, given: string | number, least: number): number {
  const value = Number(given);
  if (/^\d{1,9}$/.test(String(given)) && value >= least) return value;
  throw new TypeError(`--${name} is a whole number, ${least} or more, not ${JSON.stringify(given)}`);
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
