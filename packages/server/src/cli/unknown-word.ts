import type { Command } from 'commander';
import { nearestName } from '../config/nearest-name.ts';
import { namesOf } from './names-of.ts';

/**
 * Ends with a message when the second word names none of the commands of a group like `sinks`. Such a group has a
 * command that it means without a word, and Commander would take any word as a surplus argument of that.
 *
 * @throws CommanderError
 */
export function refuseUnknownWord(root: Command, args: readonly string[]): void {
  const [first, word] = args;
  const group = root.commands.find((command) => command.name() === first);
  if (group === undefined || group.commands.length === 0 || word === undefined || word.startsWith('-'))
    return;
  const known = group.commands.flatMap(namesOf);
  if (known.includes(word) || word === 'help') return;
  const near = nearestName(word, known);
  const help = near === undefined ? `(There are ${known.join(', ')}.)` : `(Did you mean ${near}?)`;
  group.error(`error: unknown command '${word}' of ${group.name()}\n${help}`);
}
