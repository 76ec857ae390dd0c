import type { Glob, Route } from '@event-runtime/runtime';
import type { JsonSchema } from '../json-schema.ts';
import { type Objection, refused, shown } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';
import { functionOf } from './function-of.ts';
import { listOf } from './list-of.ts';
import { isObject, type Members, objectOf } from './object-of.ts';
import { oneOf } from './one-of.ts';
import { pattern } from './pattern.ts';
import { sinkName } from './sink-name.ts';
import { subjectTemplate } from './subject-template.ts';

const one = pattern({
  pattern: String.raw`[^\u0000]+`,
  allowed: 'a text in which * stands for any characters, like order.*',
  placeholder: 'glob',
});
const many = listOf(one, { least: 1 });

/** One or a list of them. */
const glob: ValueKind<string | readonly string[]> = {
  allowed: `${one.allowed}, or a list of such`,
  placeholder: 'glob',
  schema: { anyOf: [one.schema, many.schema] },
  types: { file: 'Glob', value: 'Glob' },
  fromText: (text) => one.fromText(text),
  fromFile: (value) => (Array.isArray(value) ? many.fromFile(value) : one.fromFile(value)),
  show: (value) => (typeof value === 'string' ? value : value.join(',')),
};

/** The names that emit allows: a condition on another one would never hold. */
export const headerName: RegExp = /^[a-z0-9]{1,20}$/;

const headersAllowed = "an object like { region: 'eu-*' }";

/** By names that are the producer's. */
const headers: ValueKind<Readonly<Record<string, string | readonly string[]>>> = {
  allowed: headersAllowed,
  placeholder: 'object',
  schema: {
    type: 'object',
    propertyNames: { pattern: headerName.source },
    additionalProperties: glob.schema,
  },
  types: { file: 'object', value: 'object' },
  fromText: (text) => refused(text, headersAllowed),
  fromFile(value) {
    if (!isObject(value)) return refused(value, headersAllowed);
    const read: Array<[string, string | readonly string[]]> = [];
    const objections: Objection[] = [];
    for (const [name, given] of Object.entries(value)) {
      if (!headerName.test(name)) {
        const allowed = 'a name must be 1 to 20 of a-z and 0-9, as emit has them';
        objections.push({ at: '', found: `has the name ${shown(name)}`, allowed });
        continue;
      }
      const condition = glob.fromFile(given);
      if ('value' in condition) read.push([name, condition.value]);
      else objections.push(...condition.objections.map((each) => ({ ...each, at: `.${name}${each.at}` })));
    }
    return objections.length > 0 ? { objections } : { value: Object.fromEntries(read) };
  },
  show: () => 'an object',
};

const optional = true as const;

const members: Members = {
  to: { kind: listOf(sinkName, { least: 1 }) },
  type: { kind: glob, optional },
  tenant: { kind: glob, optional },
  ecosystem: { kind: glob, optional },
  header: { kind: headers, optional },
  filter: { kind: functionOf<NonNullable<Route['filter']>>("Route['filter']"), optional },
  transform: { kind: functionOf<NonNullable<Route['transform']>>("Route['transform']"), optional },
  subject: { kind: subjectTemplate, optional },
  onError: { kind: oneOf(['dead-letter', 'retry']), optional },
};
const route = objectOf<Route>(members, { example: "{ to: ['nats'], type: 'order.*' }" });
const routes = listOf(route, { least: 1 });
const allowed = "a list of routes like { to: ['nats'], type: 'order.*' }";

/** The routes of a file; undefined: everything goes everywhere. There is no way to write them as text. */
export const routeList: ValueKind<readonly Route[] | undefined> = {
  allowed,
  placeholder: 'routes',
  schema: routes.schema satisfies JsonSchema,
  types: { file: 'readonly Route[]', value: 'readonly Route[] | undefined' },
  fromText: (text) => refused(text, allowed),
  fromFile: (value) => (Array.isArray(value) ? routes.fromFile(value) : refused(value, allowed)),
  show: (value = []) => value.map(shownRoute).join('; '),
};

/** What has to hold, and where it leads: `type=order.* header.region=eu-* filter to nats (transform)`. */
function shownRoute({ to, header = {}, filter, ...rest }: Route): string {
  const { type, tenant, ecosystem, transform, subject, onError } = rest;
  const named = Object.entries(header).map(([name, value]): [string, Glob] => [`header.${name}`, value]);
  const globs = Object.entries({ type, tenant, ecosystem, ...Object.fromEntries(named) });
  const conditions = globs.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${String(value)}`],
  );
  if (filter !== undefined) conditions.push('filter');
  const changes = [
    ...(transform === undefined ? [] : ['transform']),
    ...(subject === undefined ? [] : [`subject=${subject}`]),
    ...(onError === undefined ? [] : [`onError=${onError}`]),
  ];
  const what = conditions.length === 0 ? 'all' : conditions.join(' ');
  return `${what} to ${to.join(' ')}${changes.length === 0 ? '' : ` (${changes.join(' ')})`}`;
}
