import type { Command } from 'commander';

/** What a command may be called by: its name first, then its aliases. */
export function namesOf(command: Command): string[] {
  return [command.name(), ...command.aliases()];
}
