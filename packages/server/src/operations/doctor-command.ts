import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import type { Check } from './check.ts';
import { runDoctor } from './doctor.ts';
import { relaySettings } from './site.ts';

/** `event-runtime doctor`: what is right, what is wrong, and what mends it. Exit code 3 when something fails. */
export async function doctorCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { terminal, signal, json } = context;
  const settings = await relaySettings(context, given);
  const checks = await runDoctor({ settings, signal, env: context.env });
  const failed = checks.filter(({ state }) => state === 'fail').length;
  const warned = checks.filter(({ state }) => state === 'warn').length;
  if (json) {
    terminal.out(JSON.stringify({ failed, warned, checks }));
  } else {
    for (const check of checks) for (const line of checkLines(check, terminal)) terminal.out(line);
    terminal.out('');
    terminal.out(summary(failed, warned));
  }
  return failed > 0 ? exitCode.notHealthy : exitCode.ok;
}

/** A check as people read it: one line when it is right; with why, fix and page when it is not. */
export function checkLines(check: Check, { colors }: Pick<Terminal, 'colors'>): string[] {
  const { state, name, seen, code, why, fix, page } = check;
  const mark = { ok: colors.green('✓'), warn: colors.yellow('!'), fail: colors.red('✗') }[state];
  if (state === 'ok') return [`${mark} ${name}  ${colors.dim(seen)}`];
  return [
    `${mark} ${colors.bold(name)}  ${seen}  ${code}`,
    `    ${why}`,
    `    ${colors.cyan('→')} ${fix}`,
    colors.dim(`    ${page}`),
  ];
}

function summary(failed: number, warned: number): string {
  if (failed + warned === 0) return 'All is well.';
  return `${plural(failed, 'failure')}, ${plural(warned, 'warning')}.`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
