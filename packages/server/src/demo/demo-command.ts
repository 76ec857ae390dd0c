import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { demoDatabase } from './demo-database.ts';
import { demoResult, objections } from './demo-result.ts';
import type { DemoSetup } from './demo-setup.ts';
import { type DemoSink, type DemoSinkKind, demoTenants } from './demo-sink.ts';
import { githubExamples } from './github-examples.ts';
import { NatsDemoSink } from './nats-demo-sink.ts';
import { oddPayloads } from './odd-payloads.ts';
import { ProgressLine } from './progress-line.ts';
import { runDemo } from './run-demo.ts';
import { summary } from './summary.ts';
import { WebhookDemoSink } from './webhook-demo-sink.ts';

export interface DemoCommandOptions {
  /** Where the events go. */
  readonly sink: DemoSinkKind;
  readonly events: number;
  readonly kill: boolean;
  readonly seed: number;
  /** Upper bound of committed events per second; 0: none. */
  readonly rate: number;
}

/** `event-runtime demo`: the whole path on real input, checked at the end. */
export async function demoCommand(
  context: CommandContext,
  options: DemoCommandOptions,
  setup: DemoSetup,
): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  const { colors } = terminal;
  const say = (line: string): void => (json ? terminal.note(line) : terminal.out(line));
  say(`${colors.bold('event-runtime')}  ·  demo  ·  ${options.events} events, seed ${options.seed}`);
  const all = githubExamples().length + oddPayloads(64).length;
  if (options.events < all) {
    say(`  ${options.events} events are too few for every example: ${all} would have room for each once.`);
  }
  const progress = new ProgressLine(terminal);
  await using sink = await startSink(options.sink, context);
  if (sink.description !== undefined) say(`  NATS        ${sink.description}`);
  await using database = await demoDatabase(context.env['DATABASE_URL']);
  signal.throwIfAborted();
  say(`  PostgreSQL  ${database.description}`);
  const measured = await runDemo({
    databaseUrl: database.url,
    setup,
    sink,
    events: options.events,
    seed: options.seed,
    kill: options.kill,
    eventsPerSecond: options.rate,
    onProgress: (state) => {
      if (context.quiet !== true) progress.show(state);
    },
    signal,
  }).finally(() => progress.clear());
  const result = demoResult(measured);
  const objected = objections(measured, options);
  const { verdict, latencies } = measured;
  const lines = summary({
    sink: options.sink,
    result,
    objections: objected,
    differences: verdict.differences,
    latencies,
    terminal,
  });
  for (const line of lines) say(line);
  if (json) terminal.out(JSON.stringify(result));
  return objected.length === 0 ? exitCode.ok : exitCode.failed;
}

/** @throws ER5002, ER5005, ER5011: nats-server cannot be had */
async function startSink(kind: DemoSinkKind, { env, signal }: CommandContext): Promise<DemoSink> {
  if (kind === 'nats') return await NatsDemoSink.start(env, { signal });
  return await WebhookDemoSink.start({ tenants: demoTenants, refusePercent: 1 });
}
