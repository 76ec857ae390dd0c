import type { Origin } from './origin.ts';
import type { Problem } from './problem.ts';
import type { Setting } from './setting.ts';
import type { SettingPath } from './settings-table.ts';

/**
 * - `set`: given, or by default
 * - `missing`: it is needed, and nothing gives it
 * - `unneeded`: a secret that no role of this process uses; it was not looked up
 * - `refused`: given, and not valid
 */
export type SettingState = 'set' | 'missing' | 'unneeded' | 'refused';

/** What a setting comes to, and where from. */
export interface EffectiveSetting {
  readonly path: SettingPath;
  readonly setting: Setting<unknown>;
  readonly state: SettingState;
  readonly origin: Origin;
  /** Undefined unless `set`. */
  readonly value: unknown;
  /** Of a secret that is set: where it is kept, `env:NAME` or `file:/path`. */
  readonly references: readonly string[];
}

/** What one source gave for one setting. */
export interface Given {
  readonly origin: Origin;
  /** Text, but for a file, where it may be anything. */
  readonly value: unknown;
}

/** A setting, read, with what is wrong with it. */
export interface ReadSetting {
  readonly setting: EffectiveSetting;
  readonly problems: readonly Problem[];
}
