import { createLogger } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { type GivenSettings, loadConfiguration } from '../config/load-configuration.ts';
import { suspectVariables } from '../config/suspect-variables.ts';
import { runUntil } from './run-until.ts';
import { createService } from './service.ts';
import { makeRoomForPages, makeRoomForWaiting } from './small-heap.ts';

/** `event-runtime start`: the service, as it is configured, until it is told to stop. */
export async function startCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { env } = context;
  for (const warning of suspectVariables(env)) context.terminal.note(warning);
  const configuration = await loadConfiguration({ given, env, signal: context.signal });
  if (configuration.sinks.some(({ type }) => type === 'nats')) makeRoomForWaiting();
  else makeRoomForPages();
  const logger = createLogger({ level: configuration.log.level });
  await using service = createService({ configuration, logger, env });
  const stop = new AbortController();
  if (env['EVENT_RUNTIME_STOP_WITH_STDIN'] === 'true') stopWithStdin(stop);
  const signal = AbortSignal.any([context.signal, stop.signal]);
  await runUntil(service.supervisor, { signal, logger });
  return exitCode.ok;
}

/** For a parent that must not leave us behind: its end of the pipe closes however it ends. */
function stopWithStdin(stop: AbortController): void {
  process.stdin.on('close', () => stop.abort(new DOMException('standard input was closed', 'AbortError')));
  process.stdin.on('error', () => undefined);
  process.stdin.resume();
  // A pipe has it; a file, which Node reads as one, has not.
  if ('unref' in process.stdin) process.stdin.unref();
}
