import { nearestName } from './nearest-name.ts';
import type { Origin } from './origin.ts';
import { shown } from './parsed.ts';
import { type Problem, problemOf } from './problem.ts';

/** The settings that a file gives, by path, and what else is wrong with it. */
export interface FileValues {
  readonly values: ReadonlyMap<string, unknown>;
  readonly problems: readonly Problem[];
}

/** For editors; it says nothing to us. */
const ignored = '$schema';

/** Takes the content of a file apart. Values are not looked at; a value of undefined counts as not given. */
export function fileValues(
  content: unknown,
  options: { readonly known: readonly string[]; readonly origin: Origin },
): FileValues {
  const { known, origin } = options;
  const groups = new Set(known.filter((path) => path.includes('.')).map((path) => path.split('.')[0] ?? ''));
  const values = new Map<string, unknown>();
  const problems: Problem[] = [];
  const walk = (object: object, prefix: string): void => {
    for (const [key, value] of Object.entries(object) as Array<[string, unknown]>) {
      const path = `${prefix}${key}`;
      if (value === undefined || path === ignored) continue;
      if (known.includes(path)) values.set(path, value);
      else if (!groups.has(path)) problems.push(unknownName(path, { known, groups, origin }));
      else if (isObject(value)) walk(value, `${path}.`);
      else
        problems.push(
          problemOf(path, { at: '', found: `is ${kindOf(value)}`, allowed: allowedIn(path, known) }, origin),
        );
    }
  };
  if (isObject(content)) walk(content, '');
  else {
    const text = `The configuration file ${origin.name} has ${kindOf(content)} where an object of settings must be.`;
    problems.push({ path: '', text });
  }
  return { values, problems };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Not the value: what stands in the wrong place may be a secret. */
function kindOf(value: unknown): string {
  return typeof value === 'object' || typeof value === 'undefined'
    ? shown(value ?? null)
    : `a ${typeof value}`;
}

function allowedIn(group: string, known: readonly string[]): string {
  return `it must be an object with any of ${siblings(`${group}.`, known).join(', ')}`;
}

function siblings(prefix: string, known: readonly string[]): string[] {
  return known.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
}

interface Names {
  readonly known: readonly string[];
  readonly groups: ReadonlySet<string>;
  readonly origin: Origin;
}

function unknownName(path: string, { known, groups, origin }: Names): Problem {
  const cut = path.lastIndexOf('.') + 1;
  const [prefix, name] = [path.slice(0, cut), path.slice(cut)];
  const here =
    prefix === '' ? [...known.filter((one) => !one.includes('.')), ...groups] : siblings(prefix, known);
  const near = nearestName(name, here);
  // The right name in the wrong group, or in none.
  const elsewhere = known.find(
    (one) => one.slice(one.lastIndexOf('.') + 1) === nearestName(name, known.map(lastPart)),
  );
  const meant = near === undefined ? elsewhere : `${prefix}${near}`;
  const allowed = meant === undefined ? `known here: ${here.join(', ')}` : `did you mean ${meant}?`;
  const written = /^[\w.$-]+$/.test(path) ? path : shown(path);
  return problemOf(written, { at: '', found: 'is not known', allowed }, origin);
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
