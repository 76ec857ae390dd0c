import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { Terminal } from '../cli/terminal.ts';
import { configSchema } from './config-schema.ts';
import type { EffectiveSetting } from './effective-setting.ts';
import { type GivenSettings, type LoadedSettings, loadSettings } from './load-configuration.ts';
import { describeOrigin } from './origin.ts';
import { configurationError } from './problem.ts';
import { suspectVariables } from './suspect-variables.ts';

/**
 * `event-runtime config`: what every setting comes to, and where it is from. Secrets are not shown.
 *
 * @throws ER5001 after the table, with all that is missing or not valid; with `--json` it is in the object
 */
export async function configShowCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { terminal, env, signal, json } = context;
  const loaded = await loadSettings({ given, env, signal });
  const warnings = suspectVariables(env);
  if (json) {
    terminal.out(JSON.stringify({ ...describeSettings(loaded), warnings }, withFunctions));
    return loaded.problems.length === 0 ? exitCode.ok : exitCode.usage;
  }
  for (const line of settingLines(loaded, terminal)) terminal.out(line);
  for (const warning of warnings) terminal.note(`${terminal.colors.yellow('!')} ${warning}`);
  if (loaded.problems.length > 0) throw configurationError(loaded.problems);
  return exitCode.ok;
}

/** `event-runtime config schema`: the JSON Schema of a configuration file. */
export async function configSchemaCommand(context: CommandContext): Promise<ExitCode> {
  context.terminal.out(JSON.stringify(configSchema(), undefined, 2));
  return exitCode.ok;
}

/** One setting, as `--json` prints it. */
export interface SettingDescription {
  readonly path: string;
  readonly state: EffectiveSetting['state'];
  /** Null for a secret, and where there is none. */
  readonly value: unknown;
  readonly origin: EffectiveSetting['origin'];
  /** Where a secret is kept. */
  readonly references?: readonly string[];
}

/** All settings, as `--json` prints them. */
export interface SettingsDescription {
  /** The configuration file that was read. */
  readonly file: string | null;
  readonly settings: readonly SettingDescription[];
  readonly problems: LoadedSettings['problems'];
}

function describeSettings({ file, settings, problems }: LoadedSettings): SettingsDescription {
  return {
    file: file ?? null,
    settings: settings.map(({ path, setting, state, value, origin, references }) => ({
      path,
      state,
      value: setting.secret ? null : (value ?? null),
      origin,
      ...(setting.secret && { references }),
    })),
    problems,
  };
}

/** JSON has no functions, and would leave them out without a word. */
function withFunctions(_name: string, value: unknown): unknown {
  return typeof value === 'function' ? 'a function' : value;
}

function settingLines({ settings, file }: LoadedSettings, { colors }: Terminal): string[] {
  const rows = settings.map(
    (effective) => [effective.path, valueText(effective), originText(effective)] as const,
  );
  const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  return [
    `configuration file: ${file ?? 'none'}`,
    '',
    ...rows.map(([path, value, origin]) =>
      `${path.padEnd(first ?? 0)}  ${value.padEnd(second ?? 0)}  ${colors.dim(origin)}`.trimEnd(),
    ),
  ];
}

const withoutValue: Readonly<Record<Exclude<EffectiveSetting['state'], 'set'>, string>> = {
  missing: 'missing',
  unneeded: 'not needed',
  refused: 'not valid',
};

function valueText({ setting, state, value, references }: EffectiveSetting): string {
  if (state !== 'set') return withoutValue[state];
  if (setting.secret) return `set (${references.join(', ')})`;
  const shown = setting.kind.show(value);
  return shown === '' ? 'none' : shown;
}

function originText({ state, origin }: EffectiveSetting): string {
  return origin.kind === 'default' && (state === 'missing' || state === 'unneeded')
    ? ''
    : describeOrigin(origin);
}
