// npm run bench -- <name> [--json] [--runs N] [--events N] [--only ID,...]: measures, and prints. It never fails for a figure.
import { emitBench } from './emit.ts';
import { hugeTransactionBench } from './huge-transaction.ts';
import { relayBench } from './relay.ts';
import { replayBench } from './replay.ts';
import { benchCall } from './report/bench-arguments.ts';
import type { Bench } from './report/report.ts';
import { terminalReport } from './report/terminal.ts';
import { deadNatsBench, stoppedSinkBench } from './stopped-sink.ts';

const benches: readonly Bench[] = [
  emitBench,
  relayBench,
  stoppedSinkBench,
  replayBench,
  deadNatsBench,
  hugeTransactionBench,
];

const call = benchCall(process.argv.slice(2), benches);
if (typeof call === 'string') {
  process.stderr.write(`${call}\n\n`);
  process.stderr.write('usage: npm run bench -- <name> [--json] [--runs N] [--events N] [--only ID,...]\n\n');
  for (const { name, about } of benches) process.stderr.write(`${name}  ${about}\n`);
  process.exitCode = 2;
} else {
  const { failures = [], ...report } = await call.bench.run({
    ...call.request,
    progress: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(call.json ? `${JSON.stringify(report)}\n` : `\n${terminalReport(report)}`);
  for (const failure of failures) process.stderr.write(`broke off, without figures: ${failure}\n`);
  if (failures.length > 0) process.exitCode = 1;
}
