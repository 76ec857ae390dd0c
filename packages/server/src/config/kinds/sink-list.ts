import type { Sink } from '@event-runtime/runtime';
import { type ConfiguredSink, nameOfSink, type SinkSettings } from '../configured-sink.ts';
import { type Objection, type Parsed, refused, shown } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';
import { duration } from './duration.ts';
import { functionOf } from './function-of.ts';
import { natsMembers } from './nats-members.ts';
import { isObject, type Members, objectSchema, readObject } from './object-of.ts';
import { oneOf, withNearest } from './one-of.ts';
import { pattern } from './pattern.ts';
import { sinkName } from './sink-name.ts';

const path = pattern({ pattern: String.raw`[^\u0000]+`, allowed: 'the path of a file', placeholder: 'path' });

const day = 24 * 60 * 60_000;

/** Of every sink that can have dead letters of its own. */
const letters = {
  afterDeadLetter: { kind: oneOf(['continue', 'wait']), optional: true },
  deadLetterAfter: { kind: duration({ least: 60_000, most: 365 * day, bare: false }), optional: true },
} as const;

/** What each type of sink has beside `type`. */
const parts: Readonly<Record<ConfiguredSink['type'], Members>> = {
  webhooks: {},
  file: { name: { kind: sinkName }, path: { kind: path }, ...letters },
  nats: { name: { kind: sinkName }, ...natsMembers, ...letters },
  custom: {
    name: { kind: sinkName },
    create: { kind: functionOf<() => Sink>('() => Sink') },
    ...letters,
  },
  null: { name: { kind: sinkName } },
};
const types = Object.keys(parts) as ConfiguredSink['type'][];

const allowed = `a list of sinks: { type: 'webhooks' }, { type: 'nats', name, servers, stream }, { type: 'file', name, path }, { type: 'custom', name, create } or { type: 'null', name }`;

/** The sinks of a file. There is no way to write them as text. */
export const sinkList: ValueKind<readonly SinkSettings[]> = {
  allowed,
  placeholder: 'sinks',
  schema: {
    type: 'array',
    minItems: 1,
    items: { anyOf: types.map((type) => objectSchema(parts[type], { name: 'type', is: type })) },
  },
  types: { file: 'readonly ConfiguredSink[]', value: 'readonly SinkSettings[]' },
  fromText: (text) => refused(text, allowed),
  fromFile(value) {
    if (!Array.isArray(value)) return refused(value, allowed);
    if (value.length === 0) {
      return { objections: [{ at: '', found: 'is an empty list', allowed: `it must be ${allowed}` }] };
    }
    const sinks: SinkSettings[] = [];
    const objections: Objection[] = [];
    for (const [index, given] of value.entries()) {
      const sink = readSink(given);
      if ('value' in sink) sinks.push(sink.value);
      else objections.push(...sink.objections.map((one) => ({ ...one, at: `[${index}]${one.at}` })));
    }
    return objections.length > 0 ? { objections } : distinct(sinks);
  },
  show: (sinks) => sinks.map(shownSink).join(', '),
};

function shownSink(sink: SinkSettings): string {
  switch (sink.type) {
    case 'webhooks':
      return sink.type;
    case 'file':
      return `file ${sink.name} (${sink.path})`;
    case 'nats':
      return `nats ${sink.name} (${sink.servers.join(' ')}, stream ${sink.stream.name})`;
    case 'custom':
      return `custom ${sink.name}`;
    case 'null':
      return `null ${sink.name}`;
    default:
      sink satisfies never;
      throw new TypeError('a sink of an unknown type');
  }
}

function readSink(given: unknown): Parsed<SinkSettings> {
  const example = "an object like { type: 'webhooks' }";
  const type: unknown = isObject(given) && 'type' in given ? given.type : undefined;
  const known = types.find((one) => one === type);
  if (isObject(given) && known === undefined) {
    const found = type === undefined ? 'is missing' : `is ${shown(type)}`;
    const words = `it must be one of ${types.join(', ')}`;
    return {
      objections: [{ at: '.type', found, allowed: withNearest(words, { given: type, words: types }) }],
    };
  }
  const members = known === undefined ? {} : parts[known];
  const read = readObject<object>(given, { members, allowed: example, known: ['type'] });
  return 'value' in read ? { value: { type, ...read.value } as SinkSettings } : read;
}

/** A checkpoint belongs to one sink. */
function distinct(sinks: readonly SinkSettings[]): Parsed<readonly SinkSettings[]> {
  const names = sinks.map(nameOfSink);
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
