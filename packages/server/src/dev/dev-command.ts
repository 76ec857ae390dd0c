import type { CommandContext } from '../cli/command-context.ts';
export async function devCommand(_context: CommandContext): Promise<0> {
  return 0;
}
