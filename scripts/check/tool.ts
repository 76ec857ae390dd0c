import { join } from 'node:path';
import { CommandError, run } from '../process/command.ts';

/** Runs a program of `node_modules/.bin`; its whole output when it fails, nothing when it succeeds. */
export async function tool(root: string, name: string, args: readonly string[]): Promise<readonly string[]> {
  return await node(root, [join(root, 'node_modules/.bin', name), ...args]);
}

/** The same for a script of this repository, on the Node that runs us. */
export async function node(root: string, args: readonly string[]): Promise<readonly string[]> {
  try {
    const colour: Record<string, string> = process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' };
    await run(process.execPath, args, { cwd: root, timeoutMs: 300_000, env: colour });
    return [];
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return [error.output.trim() === '' ? error.message : error.output.trimEnd()];
  }
}
