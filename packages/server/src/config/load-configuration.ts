import { dirname, resolve } from 'node:path';
import { readConfigFile } from './config-file.ts';
import type { Configuration } from './configuration.ts';
import type { SinkSettings } from './configured-sink.ts';
import type { EffectiveSetting } from './effective-setting.ts';
import { type MergedSettings, mergeSettings } from './merge.ts';
import { configurationError } from './problem.ts';
import { type SettingPath, type SettingValue, settingRows } from './settings-table.ts';

/** What the command line says of settings. */
export interface GivenSettings {
  /** The text behind each flag that was given, by the path of its setting. */
  readonly flags: Readonly<Partial<Record<SettingPath, string>>>;
  /** `--config`: the file to read; false (`--no-config`): none. Default: the one in the working directory. */
  readonly config?: string | false | undefined;
}

export interface LoadOptions {
  readonly given: GivenSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Default: the working directory. */
  readonly directory?: string;
  /** The settings that matter; the others are not looked at. Default all. */
  readonly only?: readonly SettingPath[];
}

/** Settings put together from everywhere. */
export interface LoadedSettings extends MergedSettings {
  /** The file that was read, as a message names it. */
  readonly file: string | undefined;
}

/** Finds the file and puts everything together. @throws ER5001 the file itself cannot be read */
export async function loadSettings(options: LoadOptions): Promise<LoadedSettings> {
  const { given, env, signal, directory = process.cwd(), only } = options;
  const file =
    given.config === false ? undefined : await readConfigFile({ directory, named: given.config, signal });
  const merged = await mergeSettings(
    { flags: given.flags, env, file },
    { signal, ...(only === undefined ? {} : { only }) },
  );
  const base = file === undefined ? directory : dirname(file.path);
  return {
    ...merged,
    settings: merged.settings.map((one) => withAbsolutePaths(one, base)),
    file: file?.name,
  };
}

/**
 * The configuration of the service.
 *
 * @throws ER5001 with everything that is missing or not valid
 */
export async function loadConfiguration(options: LoadOptions): Promise<Configuration> {
  const { settings, problems } = await loadSettings(options);
  if (problems.length > 0) throw configurationError(problems);
  return nested(new Map(settings.map(({ path, value }) => [path, value])));
}

/**
 * The database's URL alone, for commands that need nothing else.
 *
 * @throws ER5001 it is missing or not valid, or the file has names that are not known
 */
export async function loadDatabaseUrl(options: Omit<LoadOptions, 'only'>): Promise<string> {
  const { settings, problems } = await loadSettings({ ...options, only: ['databaseUrl'] });
  if (problems.length > 0) throw configurationError(problems);
  return settings[0]?.value as string;
}

/** A configuration of the defaults and of what is given, for commands that make their own. */
export function configurationWith(
  values: { readonly [Path in SettingPath]?: SettingValue<Path> } & { readonly databaseUrl: string },
): Configuration {
  const all = new Map<SettingPath, unknown>();
  for (const [path, setting] of settingRows) {
    const byDefault = setting.secret ? undefined : setting.default;
    if (values[path] !== undefined) all.set(path, values[path]);
    else if (byDefault === undefined) all.set(path, []);
    else all.set(path, 'value' in byDefault ? byDefault.value : all.get(byDefault.sameAs as SettingPath));
  }
  return nested(all);
}

/** A path in a file is meant from there, wherever the service is started. */
function withAbsolutePaths(effective: EffectiveSetting, base: string): EffectiveSetting {
  if (effective.path !== 'sinks' || !Array.isArray(effective.value)) return effective;
  const sinks = (effective.value as SinkSettings[]).map((sink) =>
    sink.type === 'file' ? { ...sink, path: resolve(base, sink.path) } : sink,
  );
  return { ...effective, value: sinks };
}

const secretPaths = new Set(settingRows.flatMap(([path, { secret }]) => (secret ? [path] : [])));

/** From values by path to objects in objects. A secret that is not needed is an empty list. */
function nested(values: ReadonlyMap<SettingPath, unknown>): Configuration {
  const root: Record<string, unknown> = {};
  for (const [path, value] of values) {
    const [head = '', tail] = path.split('.');
    if (tail === undefined) root[head] = value ?? (secretPaths.has(path) ? [] : undefined);
    else root[head] = { ...(root[head] as object | undefined), [tail]: value };
  }
  return root as unknown as Configuration;
}
