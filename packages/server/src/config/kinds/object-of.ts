import type { JsonSchema } from '../json-schema.ts';
import { nearestName } from '../nearest-name.ts';
import { type Objection, type Parsed, shown } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

/** A member of an object. */
export interface Member {
  readonly kind: ValueKind<unknown>;
  readonly optional?: true;
}

/** The members of an object, by name. */
export type Members = Readonly<Record<string, Member>>;

/** An object of a file with members of its own: there is no way to write it as text. */
export function objectOf<T>(members: Members, options: { readonly example: string }): ValueKind<T> {
  const allowed = `an object like ${options.example}`;
  return {
    allowed,
    placeholder: 'object',
    schema: objectSchema(members),
    types: { file: 'object', value: 'object' },
    fromText: (text) => notAnObject(text, allowed),
    fromFile: (value) => readObject<T>(value, { members, allowed }),
    show: () => 'an object',
  };
}

/**
 * Reads the members that are known, and objects to all others.
 *
 * @param options `allowed`: completes "it must be …"; `known`: names beside the members' that are read elsewhere
 */
export function readObject<T>(
  value: unknown,
  options: { readonly members: Members; readonly allowed: string; readonly known?: readonly string[] },
): Parsed<T> {
  const { members, allowed, known = [] } = options;
  if (!isObject(value)) return notAnObject(value, allowed);
  const given = new Map<string, unknown>(Object.entries(value));
  const names = [...known, ...Object.keys(members)];
  const read: Record<string, unknown> = {};
  const objections: Objection[] = [];
  for (const [name, { kind, optional }] of Object.entries(members)) {
    const found = given.get(name);
    if (found === undefined) {
      if (optional !== true) {
        objections.push({ at: `.${name}`, found: 'is missing', allowed: `it must be ${kind.allowed}` });
      }
      continue;
    }
    const parsed = kind.fromFile(found);
    if ('value' in parsed) read[name] = parsed.value;
    else objections.push(...parsed.objections.map((one) => ({ ...one, at: `.${name}${one.at}` })));
  }
  for (const name of given.keys()) {
    if (names.includes(name)) continue;
    const near = nearestName(name, names);
    const help = near === undefined ? `known here: ${names.join(', ')}` : `did you mean ${near}?`;
    objections.push({ at: `.${name}`, found: 'is not known', allowed: help });
  }
  return objections.length === 0 ? { value: read as T } : { objections };
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param tag a member that has always this one value */
export function objectSchema(
  members: Members,
  tag?: { readonly name: string; readonly is: string },
): JsonSchema {
  const all = Object.entries(members);
  const required = all.filter(([, { optional }]) => optional !== true).map(([name]) => name);
  const properties: Record<string, JsonSchema> = tag === undefined ? {} : { [tag.name]: { const: tag.is } };
  for (const [name, { kind }] of all) properties[name] = kind.schema;
  return {
    type: 'object',
    properties,
    required: [...(tag === undefined ? [] : [tag.name]), ...required],
    additionalProperties: false,
  };
}

function notAnObject(value: unknown, allowed: string): { readonly objections: readonly Objection[] } {
  return { objections: [{ at: '', found: `is ${shown(value)}`, allowed: `it must be ${allowed}` }] };
}
