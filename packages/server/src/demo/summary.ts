import type { Terminal } from '../cli/terminal.ts';
import type { DemoResult } from './demo-result.ts';
import type { DemoSinkKind } from './demo-sink.ts';
import { duration, histogram } from './histogram.ts';
import type { Difference } from './verdict.ts';

export interface SummaryOptions {
  /** Where the events went. */
  readonly sink: DemoSinkKind;
  readonly result: DemoResult;
  /** Why the run does not count as passed; empty when it does. */
  readonly objections: readonly string[];
  readonly differences: readonly Difference[];
  /** Milliseconds. */
  readonly latencies: readonly number[];
  readonly terminal: Pick<Terminal, 'colors' | 'columns'>;
}

/** What is said in other words of each sink. */
const words = {
  webhooks: {
    delivered: 'of the committed events, verified by standardwebhooks',
    duplicates: 'the same event again; allowed',
    latency: 'from sending COMMIT to the verified arrival',
    exact: 'What was received is exactly what was committed, through the write-ahead log.',
  },
  nats: {
    delivered: 'of the committed events, read back from the stream',
    duplicates: 'the same event in the stream again',
    latency: "from sending COMMIT to being stored, by the stream's timestamps",
    exact: 'What the stream has is exactly what was committed, each event once, through the write-ahead log.',
  },
} as const;

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

function counts({ result, sink, terminal: { colors } }: SummaryOptions): string[] {
  const fault = (count: number): string => (count === 0 ? colors.green('0') : colors.red(String(count)));
  const rows: Array<readonly [string, string, string]> = [
    ['committed', String(result.events), `events in ${result.committed} transactions`],
    ['rolled back', String(result.rolledBack), 'transactions or savepoints; nothing of them may arrive'],
    ['delivered', String(result.delivered), words[sink].delivered],
    ['lost', fault(result.lost), 'committed, never came'],
    ['phantom', fault(result.phantom), 'came, never committed'],
    ['reordered', fault(result.reordered), 'came after a later event of the same tenant and key'],
    ['corrupted', fault(result.corrupted), 'other bytes, type, key, tenant or id'],
  ];
  if (sink === 'webhooks') {
    rows.push(['bad signatures', fault(result.badSignatures), '']);
    rows.push(['duplicates', String(result.duplicates), words.webhooks.duplicates]);
  } else rows.push(['duplicates', fault(result.duplicates), words.nats.duplicates]);
  rows.push(['through the slot', String(result.slotTransactions), slotNote(result)]);
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

function picture({ result, sink, latencies, terminal: { colors, columns } }: SummaryOptions): string[] {
  if (latencies.length === 0) return [];
  return [
    `  ${colors.bold('Latency')}, ${words[sink].latency}`,
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

function verdictLines({ objections, sink, terminal: { colors } }: SummaryOptions): string[] {
  if (objections.length === 0) {
    return [`  ${colors.green('✓')} ${colors.bold(words[sink].exact)}`];
  }
  return objections.map((objection) => `  ${colors.red('✗')} ${colors.bold(objection)}`);
}

/** Columns that a text takes without its colours. */
function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
  return text.replaceAll(/\u001b\[\d+m/g, '').length;
}
