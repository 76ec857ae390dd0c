import { parseArgs } from 'node:util';
import type { Bench, BenchRequest } from './report.ts';

/** What a command line asks for. */
export interface BenchCall {
  readonly bench: Bench;
  readonly request: Omit<BenchRequest, 'progress'>;
  readonly json: boolean;
}

/** @returns what is asked for, or a line that says why it cannot be */
export function benchCall(args: readonly string[], benches: readonly Bench[]): BenchCall | string {
  let parsed: ReturnType<typeof parsedArgs>;
  try {
    parsed = parsedArgs(args);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const { values, positionals } = parsed;
  const bench = benches.find(({ name }) => name === positionals[0]);
  if (bench === undefined || positionals.length !== 1) {
    return positionals.length === 0 ? 'which one?' : `there is no benchmark '${positionals.join(' ')}'`;
  }
  const counts: Record<string, number> = {};
  for (const name of ['runs', 'events'] as const) {
    const text = values[name];
    if (text === undefined) continue;
    const count = Number(text);
    if (!Number.isSafeInteger(count) || count < 1)
      return `--${name} is '${text}': give a whole number from 1 on`;
    counts[name] = count;
  }
  const only = values.only?.split(',');
  const { ids = [] } = bench;
  const strange = only?.find((wish) => wish === '' || !ids.some((id) => id.startsWith(wish)));
  if (strange !== undefined) {
    return ids.length === 0
      ? `${bench.name} has no --only`
      : `no figure of ${bench.name} begins with '${strange}': ${ids.join(', ')}`;
  }
  return { bench, request: { ...counts, ...(only === undefined ? {} : { only }) }, json: values.json };
}

function parsedArgs(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      runs: { type: 'string' },
      events: { type: 'string' },
      only: { type: 'string' },
    },
  });
}
