import type { Command } from 'commander';
import { relaySettingPaths } from '../operations/relay-setting-paths.ts';
import { addSettingOptions } from './setting-options.ts';

/** A command that looks at a relay or changes something of it. */
export function operation(
  parent: Command,
  { name, description }: { readonly name: string; readonly description: string },
): Command {
  const command = parent.command(name).description(description);
  return addSettingOptions(command.option('--json', 'print one JSON object', false), relaySettingPaths);
}
