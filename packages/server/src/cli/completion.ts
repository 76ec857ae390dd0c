import type { Command } from 'commander';
import { namesOf } from './names-of.ts';

/** Shells that a script can be had for. */
export const shells = ['bash', 'zsh'] as const;

export type Shell = (typeof shells)[number];

/**
 * A script that makes a shell complete commands and flags: `eval "$(event-runtime completion bash)"`. Everything that
 * there is stands in it, so that completing starts no process.
 */
export function completionScript(root: Command, shell: Shell): string {
  const places = [...placesOf(root, '')];
  const paths = places.flatMap(([path]) => (path === '' ? [] : [`"${path}"`]));
  return [
    ...(shell === 'zsh' ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_event_runtime() {',
    '  local path="" words="" word',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's.
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    case "$path $word" in',
    `      ${paths.join('|')}) path="$path $word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...places.map(([path, words]) => `    "${path}") words="${words.join(' ')}" ;;`),
    '  esac',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's.
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -F _event_runtime event-runtime er',
  ].join('\n');
}

/** What may follow, by the words before, each after a space: ` sinks` is followed by `list`, `pause`, `resume`. */
function placesOf(command: Command, path: string): Map<string, readonly string[]> {
  const { commands, options } = command;
  const flags = options.flatMap(({ long }) => (typeof long === 'string' ? [long] : []));
  const places = new Map<string, readonly string[]>([
    [path, [...commands.flatMap(namesOf), ...flags, '--help']],
  ]);
  for (const each of commands) {
    for (const name of namesOf(each)) {
      for (const [at, words] of placesOf(each, `${path} ${name}`)) places.set(at, words);
    }
  }
  return places;
}
