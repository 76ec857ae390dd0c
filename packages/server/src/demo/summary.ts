import type { Terminal } from '../cli/terminal.ts';
import type { DemoResult } from './demo-result.ts';
import { duration, histogram } from './histogram.ts';
import type { Difference } from './verdict.ts';

export interface SummaryOptions {
  readonly result: DemoResult;
  /** Why the run does not count as passed; empty when it does. */
  readonly objections: readonly string[];
  readonly differences: readonly Difference[];
  /** Milliseconds. */
  readonly latencies: readonly number[];
  readonly terminal: Pick<Terminal, 'colors' | 'columns'>;
}

/** The lines at the end of a demo: the counts, the picture of the latencies, the differences, the verdict. */
export function summary(options: SummaryOptions): string[] {
  return [
    '',
    ...counts(options),
    '',
    ...picture(options),
    ...differenceLines(options),
    '',
    ...verdictLines(options),
    '',
  ];
}

function counts({ result, terminal: { colors } }: SummaryOptions): string[] {
  const fault = (count: number): string => (count === 0 ? colors.green('0') : colors.red(String(count)));
  const rows: Array<readonly [string, string, string]> = [
    ['committed', String(result.events), `events in ${result.committed} transactions`],
    ['rolled back', String(result.rolledBack), 'transactions or savepoints; nothing of them may arrive'],
    ['delivered', String(result.delivered), 'of the committed events, verified by standardwebhooks'],
    ['lost', fault(result.lost), 'committed, never came'],
    ['phantom', fault(result.phantom), 'came, never committed'],
    ['reordered', fault(result.reordered), 'came after a later event of the same tenant and key'],
    ['corrupted', fault(result.corrupted), 'other bytes, type, key, tenant or id'],
    ['bad signatures', fault(result.badSignatures), ''],
    ['duplicates', String(result.duplicates), 'the same event again; allowed'],
    ['through the slot', String(result.slotTransactions), slotNote(result)],
  ];
  if (result.kills > 0) {
    rows.push([
      'kills',
      String(result.kills),
      `by SIGKILL, ${result.killsWithBacklog} with undelivered events`,
    ]);
  }
  const width = Math.max(...rows.map(([, value]) => visibleLength(value)));
  return rows.map(([label, value, note]) => {
    const padded = ' '.repeat(width - visibleLength(value)) + value;
    return `  ${label.padEnd(17)}${padded}  ${colors.dim(note)}`.trimEnd();
  });
}

function slotNote(result: DemoResult): string {
  return result.confirmedFlushReached
    ? 'transactions; confirmed up to the last commit'
    : 'transactions; NOT confirmed up to the last commit';
}

function picture({ result, latencies, terminal: { colors, columns } }: SummaryOptions): string[] {
  if (latencies.length === 0) return [];
  return [
    `  ${colors.bold('Latency')}, from sending COMMIT to the verified arrival`,
    ...histogram(latencies, Math.max(10, Math.min(50, columns - 26))).map((line) => `  ${line}`),
    `  p50 ${duration(result.p50Ms)} · p95 ${duration(result.p95Ms)} · p99 ${duration(result.p99Ms)} · ` +
      `${result.seconds} s in all`,
  ];
}

function differenceLines({ differences, terminal: { colors } }: SummaryOptions): string[] {
  if (differences.length === 0) return [];
  return [
    '',
    `  ${colors.bold('Differences')} (the first ${differences.length})`,
    ...differences.map(({ kind, line }) => `    ${colors.red(kind.padEnd(13))}${line}`),
  ];
}

function verdictLines({ objections, terminal: { colors } }: SummaryOptions): string[] {
  if (objections.length === 0) {
    return [
      `  ${colors.green('✓')} ${colors.bold('What was received is exactly what was committed, through the write-ahead log.')}`,
    ];
  }
  return objections.map((objection) => `  ${colors.red('✗')} ${colors.bold(objection)}`);
}

/** Columns that a text takes without its colours. */
function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
  return text.replaceAll(/\u001b\[\d+m/g, '').length;
}
