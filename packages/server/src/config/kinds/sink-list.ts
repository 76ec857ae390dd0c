import type { ConfiguredSink } from '../configured-sink.ts';
import type { JsonSchema } from '../json-schema.ts';
import { nearestName } from '../nearest-name.ts';
import { type Objection, type Parsed, refused, shown } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';
import { withNearest } from './one-of.ts';
import { pattern } from './pattern.ts';

const name = pattern({
  pattern: '[a-z0-9][a-z0-9_-]{0,62}',
  allowed: '1 to 63 of a-z, 0-9, _ and -, the first no _ or -',
  placeholder: 'name',
});
const path = pattern({ pattern: String.raw`[^\u0000]+`, allowed: 'the path of a file', placeholder: 'path' });

/** What each type of sink has beside `type`; all of it is needed. */
const parts: Readonly<Record<ConfiguredSink['type'], Readonly<Record<string, ValueKind<string>>>>> = {
  webhooks: {},
  file: { name, path },
  null: { name },
};
const types = Object.keys(parts);

const allowed = `a list of sinks: { type: 'webhooks' }, { type: 'file', name, path } or { type: 'null', name }`;

/** The sinks of a file. There is no way to write them as text. */
export const sinkList: ValueKind<readonly ConfiguredSink[]> = {
  allowed,
  placeholder: 'sinks',
  schema: { type: 'array', minItems: 1, items: { anyOf: types.map(schemaOf) } },
  types: { file: 'readonly ConfiguredSink[]', value: 'readonly ConfiguredSink[]' },
  fromText: (text) => refused(text, allowed),
  fromFile(value) {
    if (!Array.isArray(value)) return refused(value, allowed);
    if (value.length === 0) {
      return { objections: [{ at: '', found: 'is an empty list', allowed: `it must be ${allowed}` }] };
    }
    const objections = value.flatMap((sink: unknown, index) =>
      objectionsTo(sink).map((one) => ({ ...one, at: `[${index}]${one.at}` })),
    );
    if (objections.length > 0) return { objections };
    return distinct(value as ConfiguredSink[]);
  },
  show: (sinks) =>
    sinks
      .map((sink) => {
        if (sink.type === 'webhooks') return sink.type;
        return sink.type === 'file' ? `file ${sink.name} (${sink.path})` : `null ${sink.name}`;
      })
      .join(', '),
};

/** The name that the checkpoint of a sink is kept under. */
function nameOf(sink: ConfiguredSink): string {
  return sink.type === 'webhooks' ? 'webhooks' : sink.name;
}

function objectionsTo(sink: unknown): Objection[] {
  if (typeof sink !== 'object' || sink === null || Array.isArray(sink)) {
    return [
      { at: '', found: `is ${shown(sink)}`, allowed: "it must be an object like { type: 'webhooks' }" },
    ];
  }
  const given = new Map<string, unknown>(Object.entries(sink));
  const type = given.get('type');
  const known = parts[types.find((one) => one === type) as ConfiguredSink['type']] as
    | (typeof parts)[ConfiguredSink['type']]
    | undefined;
  if (known === undefined) {
    const found = type === undefined ? 'is missing' : `is ${shown(type)}`;
    const words = `it must be one of ${types.join(', ')}`;
    return [{ at: '.type', found, allowed: withNearest(words, { given: type, words: types }) }];
  }
  const objections = Object.entries(known).flatMap(([key, kind]): Objection[] => {
    const value = given.get(key);
    if (value === undefined)
      return [{ at: `.${key}`, found: 'is missing', allowed: `it must be ${kind.allowed}` }];
    const read = kind.fromFile(value);
    return 'value' in read ? [] : read.objections.map((one) => ({ ...one, at: `.${key}${one.at}` }));
  });
  const names = ['type', ...Object.keys(known)];
  for (const key of given.keys()) {
    if (names.includes(key)) continue;
    const near = nearestName(key, names);
    const help = near === undefined ? `known here: ${names.join(', ')}` : `did you mean ${near}?`;
    objections.push({ at: `.${key}`, found: 'is not known', allowed: help });
  }
  return objections;
}

/** A checkpoint belongs to one sink. */
function distinct(sinks: readonly ConfiguredSink[]): Parsed<readonly ConfiguredSink[]> {
  const names = sinks.map(nameOf);
  const objections = names.flatMap((one, index): Objection[] => {
    if (names.indexOf(one) === index) return [];
    return [
      {
        at: `[${index}]`,
        found: `is a second sink named ${shown(one)}`,
        allowed: 'each needs a name of its own',
      },
    ];
  });
  return objections.length === 0 ? { value: sinks } : { objections };
}

function schemaOf(type: string): JsonSchema {
  const rest = Object.entries(parts[type as ConfiguredSink['type']]);
  return {
    type: 'object',
    properties: {
      type: { const: type },
      ...Object.fromEntries(rest.map(([key, kind]) => [key, kind.schema])),
    },
    required: ['type', ...rest.map(([key]) => key)],
    additionalProperties: false,
  };
}
