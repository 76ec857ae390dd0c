import { type Command, Option } from 'commander';
import type { GivenSettings } from '../config/load-configuration.ts';
import type { Setting } from '../config/setting.ts';
import { type SettingPath, settingRows } from '../config/settings-table.ts';

/** Headings of the help. */
const headings: Readonly<Record<string, string>> = {
  relay: 'Relay:',
  retention: 'Retention:',
  webhooks: 'Webhooks:',
  http: 'Health and metrics:',
  log: 'Log:',
};

/** Gives a command the flags of the settings, all or some, and `--config`. */
export function addSettingOptions(command: Command, only?: readonly SettingPath[]): Command {
  command
    .option('--config <file>', 'the configuration file (default: event-runtime.config.* in this directory)')
    .option('--no-config', 'read no configuration file');
  for (const [path, setting] of settingRows) {
    if (setting.flag === null || only?.includes(path) === false) continue;
    command.addOption(optionOf(path, setting));
  }
  return command;
}

/** What of a command's options concerns settings. */
export function givenSettings(options: Readonly<Record<string, unknown>>): GivenSettings {
  const flags: Partial<Record<SettingPath, string>> = {};
  for (const [path, setting] of settingRows) {
    if (setting.flag === null) continue;
    const text = options[new Option(setting.flag).attributeName()];
    if (typeof text === 'string') flags[path] = text;
  }
  const config = options['config'];
  return { flags, config: typeof config === 'string' || config === false ? config : undefined };
}

function optionOf(path: SettingPath, setting: Setting<unknown>): Option {
  const placeholder = setting.secret ? 'env:NAME|file:/path' : setting.kind.placeholder;
  const notes = [byDefault(setting), setting.env === null ? '' : `env: ${setting.env}`].filter(
    (one) => one !== '',
  );
  // The first sentence is enough here; the rest is on the reference page.
  const about = (/^.*?[^.]\.(?= |$)/.exec(setting.about)?.[0] ?? setting.about)
    .replaceAll('`', '')
    .replace(/\.$/, '');
  const option = new Option(`${setting.flag} <${placeholder}>`, `${about} (${notes.join(', ')})`);
  const heading = path.includes('.') ? headings[path.slice(0, path.indexOf('.'))] : undefined;
  return heading === undefined ? option : option.helpGroup(heading);
}

function byDefault(setting: Setting<unknown>): string {
  if (setting.secret) return '';
  if ('sameAs' in setting.default) return `default: ${setting.default.sameAs}`;
  const shown = setting.kind.show(setting.default.value);
  return `default: ${shown === '' ? 'none' : shown}`;
}
