import { randomBytes } from 'node:crypto';
import { type MergedSettings, mergeSettings } from './merge.ts';

const key = (): string => randomBytes(32).toString('base64');

export const keys: Readonly<Record<'flag' | 'env' | 'file' | 'old', string>> = {
  flag: key(),
  env: key(),
  file: key(),
  old: key(),
};

export const urls: Readonly<Record<'flag' | 'env' | 'file', string>> = {
  flag: 'postgres://u:hunter2@flag/db',
  env: 'postgresql:///env?host=/run',
  file: 'postgres://file/db',
};

export const { signal }: { readonly signal: AbortSignal } = new AbortController();

export interface Sources {
  readonly flags?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: unknown;
}

/** Merges; a file is called conf.json. */
export async function merged({ flags = {}, env = {}, file }: Sources): Promise<MergedSettings> {
  const read = file === undefined ? undefined : { name: 'conf.json', path: '/conf.json', content: file };
  return await mergeSettings({ flags, env, file: read }, { signal });
}

/** The variables that are needed. */
export const enough: Readonly<Record<string, string>> = {
  DATABASE_URL: urls.env,
  EVENT_RUNTIME_SECRET_KEY: keys.env,
};
