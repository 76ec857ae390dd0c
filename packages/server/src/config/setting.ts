import type { SecretKind } from './secret-kind.ts';
import type { ValueKind } from './value-kind.ts';

interface SettingBase {
  /** The flag of the command line, `--relay-name`; null: none. */
  readonly flag: string | null;
  /** The environment variable; null: none. */
  readonly env: string | null;
  /** What it does, in Markdown without links: for the help, the schema, the types and the reference page. */
  readonly about: string;
  /** The version that had it first. */
  readonly since: string;
}

/** A setting that may be seen. */
export interface OpenSetting<T> extends SettingBase {
  readonly secret: false;
  readonly kind: ValueKind<T>;
  /** The value where none is given; or the path of the setting whose value it then has. */
  readonly default: { readonly value: T } | { readonly sameAs: string };
}

/** A setting that must not be seen. It has no default. */
export interface SecretSetting<T> extends SettingBase {
  readonly secret: true;
  readonly kind: SecretKind<T>;
  /** The role that cannot do without it; `every`: none can. */
  readonly neededBy: 'every' | 'webhooks';
  /** What to do when it is missing. */
  readonly remedy: string;
}

/** One row of the table of settings. */
export type Setting<T> = OpenSetting<T> | SecretSetting<T>;
