import type { EffectiveSetting, Given, ReadSetting } from './effective-setting.ts';
import { wordsOf } from './kinds/list-of.ts';
import { fromOrigin, type Origin } from './origin.ts';
import { shown } from './parsed.ts';
import { type Problem, problemOf } from './problem.ts';
import { resolveReference, type SecretReference, secretReference } from './secret-reference.ts';
import type { SecretSetting } from './setting.ts';
import type { SettingPath } from './settings-table.ts';

/** A secret setting with all that was given for it, the strongest first. */
export interface GivenSecret {
  readonly path: SettingPath;
  readonly setting: SecretSetting<unknown>;
  readonly given: readonly Given[];
  /** Whether this process uses it. */
  readonly needed: boolean;
}

/** Reads a secret setting: finds what the references lead to. No message and no state shows it. */
export async function readSecret(
  secret: GivenSecret,
  sources: { readonly env: Readonly<Record<string, string | undefined>>; readonly signal: AbortSignal },
): Promise<ReadSetting> {
  const { path, setting, given, needed } = secret;
  const origin = given[0]?.origin ?? { kind: 'default', name: '' };
  const without = (state: 'missing' | 'unneeded' | 'refused'): EffectiveSetting => {
    return { path, setting, state, origin, value: undefined, references: [] };
  };
  // A plain secret is wrong wherever it stands, also where something stronger overrides it.
  const read = given.map((one) => referencesOf(secret, one));
  const problems = read.flatMap((one) => one.problems);
  if (problems.length > 0) return { setting: without('refused'), problems };
  if (!needed) return { setting: without('unneeded'), problems };
  const references = read[0]?.references;
  if (references === undefined) return { setting: without('missing'), problems: [missing(secret)] };
  const texts: string[] = [];
  for (const reference of references) {
    const found = await resolveReference(reference, sources);
    if ('secret' in found) texts.push(found.secret);
    else problems.push({ path, text: `${path} cannot be had, ${fromOrigin(origin)}: ${found.why}.` });
  }
  if (problems.length > 0) return { setting: without('refused'), problems };
  const value = setting.kind.read(texts);
  if ('objections' in value) {
    const objections = value.objections.map((objection) => problemOf(path, objection, origin));
    return { setting: without('refused'), problems: objections };
  }
  const kept = references.map(({ kind, target }) =>
    kind === 'plain' ? `env:${origin.name}` : `${kind}:${target}`,
  );
  const shownOnce = [...new Set(kept)];
  return {
    setting: { path, setting, state: 'set', origin, value: value.value, references: shownOnce },
    problems: [],
  };
}

interface ReadReferences {
  readonly references: readonly SecretReference[];
  readonly problems: readonly Problem[];
}

function referencesOf(secret: GivenSecret, given: Given): ReadReferences {
  const { path, setting } = secret;
  const { origin, value } = given;
  const { many } = setting.kind;
  const form = many ? "a list of 'env:NAME' or 'file:/path'" : "'env:NAME' or 'file:/path'";
  let texts: readonly unknown[];
  if (origin.kind !== 'file') texts = many ? wordsOf(value as string) : [(value as string).trim()];
  else if (many) texts = Array.isArray(value) && value.length > 0 ? value : [undefined];
  else texts = [value];
  const problems: Problem[] = [];
  const references: SecretReference[] = [];
  for (const [index, text] of texts.entries()) {
    const at = many && Array.isArray(value) ? `[${index}]` : '';
    if (typeof text !== 'string') {
      const found =
        many && at === ''
          ? notList(value)
          : `is ${typeof text === 'object' ? shown(text) : `a ${typeof text}`}`;
      problems.push(problemOf(path, { at, found, allowed: `it must be ${form}` }, origin));
      continue;
    }
    const reference = secretReference(text);
    if (reference.kind === 'plain' && origin.kind !== 'environment') problems.push(plain(secret, at, origin));
    references.push(reference);
  }
  return { references, problems };
}

function notList(value: unknown): string {
  return typeof value === 'object' ? `is ${shown(value)}` : `is a ${typeof value}`;
}

function plain({ path, setting }: GivenSecret, at: string, origin: Origin): Problem {
  const who =
    origin.kind === 'flag'
      ? 'everybody on this machine sees a command line'
      : 'a file is copied and committed';
  const text = `${path}${at} is a secret in plain text, ${fromOrigin(origin)}; ${who}.`;
  const reference = `env:${setting.env ?? 'NAME'}`;
  const line =
    origin.kind === 'flag'
      ? `${origin.name} ${reference}`
      : `${path}: ${setting.kind.many ? `['${reference}']` : `'${reference}'`}`;
  return {
    path,
    text,
    remedy: `Write \`${line}\` and set the variable, or 'file:/path' of a file that holds the secret.`,
  };
}

function missing({ path, setting }: GivenSecret): Problem {
  const ways = [setting.env, setting.flag, `${path} in a configuration file`].filter((way) => way !== null);
  const needed = setting.neededBy === 'every' ? '' : ` (the role ${setting.neededBy} needs it)`;
  return {
    path,
    text: `${path} is missing${needed}; it can be given by ${ways.join(', ')}.`,
    remedy: setting.remedy,
  };
}
