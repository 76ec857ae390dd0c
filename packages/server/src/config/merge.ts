import type { ConfigFile } from './config-file.ts';
import type { SinkSettings } from './configured-sink.ts';
import { crossProblems } from './cross-problems.ts';
import type { EffectiveSetting, Given, ReadSetting } from './effective-setting.ts';
import { fileValues } from './file-values.ts';
import type { Origin } from './origin.ts';
import { type Problem, problemOf } from './problem.ts';
import { readSecret } from './read-secret.ts';
import type { OpenSetting } from './setting.ts';
import { type SettingPath, settingRows } from './settings-table.ts';
import { sinkReferenceProblems } from './sink-references.ts';

/** Where settings come from, the strongest first: flags, environment, file. */
export interface SettingSources {
  /** The text behind each flag that was given, by the path of its setting. */
  readonly flags: Readonly<Partial<Record<SettingPath, string>>>;
  /** An empty variable counts as not set. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | undefined;
}

export interface MergeOptions {
  readonly signal: AbortSignal;
  /** The settings that matter; the others are not looked at. Default all. */
  readonly only?: readonly SettingPath[];
}

/** Every setting, and everything that is wrong. */
export interface MergedSettings {
  /** In the order of the table. */
  readonly settings: readonly EffectiveSetting[];
  readonly problems: readonly Problem[];
}

/** Puts flags, environment, file and defaults together. Refuses nothing: what is wrong is in `problems`. */
export async function mergeSettings(sources: SettingSources, options: MergeOptions): Promise<MergedSettings> {
  const { file, env } = sources;
  const problems: Problem[] = [];
  const fileOrigin: Origin = { kind: 'file', name: file?.name ?? '' };
  const known = settingRows.map(([path]) => path);
  const fromFile = file === undefined ? undefined : fileValues(file.content, { known, origin: fileOrigin });
  problems.push(...(fromFile?.problems ?? []));
  const merged = new Map<SettingPath, EffectiveSetting>();
  const rows = settingRows.filter(([path]) => options.only?.includes(path) ?? true);
  const givenFor = (path: SettingPath, names: { flag: string | null; env: string | null }): Given[] => {
    const given: Given[] = [];
    const flag = sources.flags[path];
    const variable = names.env === null ? '' : (env[names.env] ?? '');
    if (flag !== undefined) given.push({ origin: { kind: 'flag', name: names.flag ?? '' }, value: flag });
    if (variable !== '')
      given.push({ origin: { kind: 'environment', name: names.env ?? '' }, value: variable });
    if (fromFile?.values.has(path) === true)
      given.push({ origin: fileOrigin, value: fromFile.values.get(path) });
    return given;
  };
  for (const [path, setting] of rows) {
    if (setting.secret) continue;
    const effective = readOpen(path, setting, givenFor(path, setting)[0]);
    merged.set(path, effective.setting);
    problems.push(...effective.problems);
  }
  takeOver(merged);
  for (const [path, setting] of rows) {
    if (!setting.secret) continue;
    const roles = merged.get('roles');
    const needed =
      setting.neededBy === 'every' || (Array.isArray(roles?.value) && roles.value.includes(setting.neededBy));
    const given = givenFor(path, setting);
    const effective = await readSecret({ path, setting, given, needed }, { env, signal: options.signal });
    merged.set(path, effective.setting);
    problems.push(...effective.problems);
  }
  problems.push(...(await unresolved(merged, { env, signal: options.signal })), ...crossProblems(merged));
  const settings = rows.flatMap(([path]) => merged.get(path) ?? []);
  return { settings, problems };
}

function readOpen(path: SettingPath, setting: OpenSetting<unknown>, given: Given | undefined): ReadSetting {
  const base = { path, setting, references: [] };
  if (given === undefined) {
    const origin: Origin = {
      kind: 'default',
      name: 'sameAs' in setting.default ? setting.default.sameAs : '',
    };
    const value = 'value' in setting.default ? setting.default.value : undefined;
    return { setting: { ...base, state: 'set', origin, value }, problems: [] };
  }
  const { origin, value } = given;
  const read = origin.kind === 'file' ? setting.kind.fromFile(value) : setting.kind.fromText(value as string);
  if ('value' in read) return { setting: { ...base, state: 'set', origin, value: read.value }, problems: [] };
  return {
    setting: { ...base, state: 'refused', origin, value: undefined },
    problems: read.objections.map((objection) => problemOf(path, objection, origin)),
  };
}

/** Of the sinks, where this process is their relay. */
async function unresolved(
  merged: ReadonlyMap<SettingPath, EffectiveSetting>,
  sources: { readonly env: SettingSources['env']; readonly signal: AbortSignal },
): Promise<Problem[]> {
  const [sinks, roles] = [merged.get('sinks'), merged.get('roles')?.value];
  if (sinks?.value === undefined || !Array.isArray(roles) || !roles.includes('relay')) return [];
  return await sinkReferenceProblems(sinks.value as readonly SinkSettings[], {
    ...sources,
    origin: sinks.origin,
  });
}

/** Gives a setting without a value of its own that of the setting that its default names. */
function takeOver(merged: Map<SettingPath, EffectiveSetting>): void {
  for (const [path, effective] of merged) {
    if (effective.origin.kind !== 'default' || effective.origin.name === '') continue;
    const from = merged.get(effective.origin.name as SettingPath);
    if (from !== undefined) merged.set(path, { ...effective, state: from.state, value: from.value });
  }
}
