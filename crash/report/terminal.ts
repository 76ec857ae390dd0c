import type { CrashResult, Outcome } from './crash-result.ts';

const conclusions: Readonly<Record<Outcome, string>> = {
  clean: 'no fault found',
  faulty: 'FAULTY',
  convicted: 'convicted',
  'not-convicted': 'NOT convicted',
  stalled: 'no verdict, for nothing came any more',
  short: 'no verdict, for not every failpoint was hit often enough',
};

/** The result for a person. */
export function terminalReport(result: CrashResult): string {
  const { killsOf, transactions, failpoints, differences, short, mutant } = result;
  const lines = [
    `PostgreSQL ${result.postgres}, from the ${result.sources}, seed ${result.seed}${mutant === null ? '' : `, mutant ${mutant}`}, ${result.seconds} s`,
    `${result.events} events in ${transactions.committed} transactions; ${transactions.rolledBack} rolled back, ${transactions.unknown} cut off`,
    `${result.kills} kills, ${result.killsInFlight} with work in flight: ` +
      `relay ${killsOf.relay}, PostgreSQL ${killsOf.postgres}, receiver ${killsOf.receiver}${result.nats === 0 ? '' : `, NATS ${killsOf.nats}`}; ${result.freezes} after a replica was stopped past its lease`,
    `${result.replayed} replayed, ${result.redriven} redriven${result.afterDeadLetter === 'wait' ? ', with later events of an entity behind its letters' : ''}`,
    '',
    `lost ${result.lost}, phantom ${result.phantom}, reordered ${result.reordered}, corrupted ${result.corrupted}; ` +
      `${result.duplicates} duplicates${result.nats === 0 ? '' : `, ${result.twice} twice in the stream of ${result.nats} servers`}`,
  ];
  if (result.hits > 0) {
    const width = Math.max(...failpoints.map(({ failpoint }) => failpoint.length), 'failpoint'.length);
    lines.push('', `${'failpoint'.padEnd(width)}  kills  in flight`);
    for (const { failpoint, kills, inFlight } of failpoints) {
      lines.push(`${failpoint.padEnd(width)}  ${String(kills).padStart(5)}  ${String(inFlight).padStart(9)}`);
    }
    for (const failpoint of short)
      lines.push(`✗ ${failpoint} was not hit ${result.hits} times with work in flight`);
  }
  if (result.stalled) lines.push('', '✗ nothing came any more while kills were still planned');
  if (differences.length > 0) lines.push('', 'the first differences');
  for (const { kind, sink, line } of differences) lines.push(`✗ ${kind} (${sink}) ${line}`);
  lines.push('', `${mutant === null ? 'the program' : `mutant ${mutant}`}: ${conclusions[result.outcome]}`);
  return `${lines.join('\n')}\n`;
}
