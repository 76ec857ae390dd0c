// npm run bench -- <name> [--json] [--runs N] [--events N] [--only ID,...]: measures, and prints. It never fails for a figure.
import { parseArgs } from 'node:util';
import { emitBench } from './emit.ts';
import { hugeTransactionBench } from './huge-transaction.ts';
import { relayBench } from './relay.ts';
import type { Bench } from './report/report.ts';
import { terminalReport } from './report/terminal.ts';
import { stoppedSinkBench } from './stopped-sink.ts';

const benches: readonly Bench[] = [emitBench, relayBench, stoppedSinkBench, hugeTransactionBench];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    events: { type: 'string' },
    only: { type: 'string' },
  },
});
const runs = Number(values.runs);
const events = values.events === undefined ? undefined : Number(values.events);
const chosen = benches.find(({ name }) => name === positionals[0]);

if (chosen === undefined || positionals.length !== 1 || !Number.isSafeInteger(runs) || runs < 1) {
  process.stderr.write('usage: npm run bench -- <name> [--json] [--runs N] [--events N] [--only ID,...]\n\n');
  for (const { name, about } of benches) process.stderr.write(`${name}  ${about}\n`);
  process.exitCode = 2;
} else {
  const report = await chosen.run({
    runs,
    ...(events === undefined ? {} : { events }),
    ...(values.only === undefined ? {} : { only: values.only.split(',') }),
    progress: (line) => process.stderr.write(`${line}\n`),
  });
  if (report.figures.length === 0) {
    process.stderr.write(`no figure begins with ${values.only}\n`);
    process.exitCode = 2;
  }
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : `\n${terminalReport(report)}`);
}
