import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { composition } from './commands.ts';
import { recordedTerminal } from './recorded-terminal.suite.ts';
import { run } from './run.ts';

async function printed(...args: string[]): Promise<{ code: number; out: string; notes: string }> {
  const { terminal, out, notes } = recordedTerminal();
  const { signal } = new AbortController();
  const code = await run({ args: ['completion', ...args], terminal, env: {}, signal, composition });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
}

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const { out } = await printed('bash');
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const script = `${out}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _event_runtime; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)('bash', ['-c', script]);
  return stdout.trim().split('\n');
}

test('bash completes commands, the commands of a group, and flags', async () => {
  expect(await offered('er', 'st')).toEqual(['start', 'status']);
  expect(await offered('er', 'sinks', '')).toEqual(['list', 'pause', 'resume', 'rewind', '--help']);
  expect(await offered('er', 'slot', 's')).toEqual(['show', 'status']);
  expect(await offered('er', 'slot', 'status', '--js')).toEqual(['--json']);
  expect(await offered('event-runtime', 'slot', 'drop', '--d')).toEqual(['--database-url', '--dry-run']);
  // A flag and the name of a sink are no commands.
  expect(await offered('er', 'sinks', 'pause', '--json', 'nats', '--dry')).toEqual(['--dry-run']);
  expect(await offered('er', 'nonsense', 'explai')).toEqual(['explain']);
});

test('zsh takes the same by its own adapter; another shell is a matter of usage', async () => {
  const [bash, zsh] = [await printed('bash'), await printed('zsh')];
  expect(zsh).toMatchObject({ code: 0, out: `autoload -U +X bashcompinit && bashcompinit\n${bash.out}` });
  expect(await printed('tcsh')).toMatchObject({
    code: 2,
    out: '',
    notes: expect.stringContaining('bash, zsh'),
  });
});
