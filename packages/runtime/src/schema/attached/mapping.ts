import { runtimeError } from '../../errors/codes.ts';

/** Where a field of an event comes from: columns of the row (several are joined by `/`), or the same text always. */
export type FieldSource = { readonly columns: readonly string[] } | { readonly constant: string };

/**
 * Which field of an event comes from where. Keys are the names of an event's fields, or `header.` and the name of a
 * header. In the order in which they were given.
 */
export type Mapping = Readonly<Record<string, FieldSource>>;

/** What a field needs of its column. */
export type ColumnKind = 'text' | 'json' | 'integer';

interface MappedField {
  readonly kind: ColumnKind;
  readonly required?: true;
  readonly constant?: true;
  readonly joined?: true;
}

/** The fields of an event that can be mapped. */
const mappedFields: Readonly<Record<string, MappedField>> = {
  event_type: { kind: 'text', required: true, constant: true },
  payload: { kind: 'json', required: true },
  tenant: { kind: 'text', required: true, constant: true },
  event_id: { kind: 'text' },
  entity_key: { kind: 'text', joined: true },
  ecosystem: { kind: 'text', constant: true },
  event_version: { kind: 'integer', constant: true },
  idempotency_key: { kind: 'text', joined: true },
  correlation_id: { kind: 'text' },
  causation_id: { kind: 'text' },
  source_service: { kind: 'text', constant: true },
  traceparent: { kind: 'text' },
  headers: { kind: 'json' },
};

const headerField: MappedField = { kind: 'text', constant: true };

/** What is known of a field by its name; undefined: there is none. */
export function fieldNamed(name: string): MappedField | undefined {
  if (Object.hasOwn(mappedFields, name)) return mappedFields[name];
  return /^header\.[a-z0-9]{1,20}$/.test(name) ? headerField : undefined;
}

/**
 * Reads `field=column`, `field=column+column` and `field=:constant`. Columns are spelled as they are stored.
 *
 * @throws ER1402 with everything that is not valid
 */
export function parseMapping(pairs: readonly string[]): Mapping {
  const mapping = new Map<string, FieldSource>();
  const problems: string[] = [];
  for (const pair of pairs) {
    const [, name, from] = /^([^=]+)=(.+)$/s.exec(pair) ?? [];
    if (name === undefined || from === undefined) {
      problems.push(`${pair}: it is not of the form field=column`);
    } else if (mapping.has(name)) {
      problems.push(`${name} is mapped twice`);
    } else {
      mapping.set(name, from.startsWith(':') ? { constant: from.slice(1) } : { columns: from.split('+') });
    }
  }
  if (problems.length > 0) throw invalidMapping(problems);
  return Object.fromEntries(mapping);
}

/** What is wrong with a mapping whatever the table; nothing when it can be used. */
export function mappingProblems(mapping: Mapping): string[] {
  const problems = Object.entries(mappedFields)
    .filter(([name, { required }]) => required === true && !Object.hasOwn(mapping, name))
    .map(([name, { constant }]) =>
      constant === true
        ? `${name} is not mapped: give it a column, or a constant as ${name}=:value`
        : `${name} is not mapped`,
    );
  for (const [name, source] of Object.entries(mapping)) {
    const problem = sourceProblem(name, source);
    if (problem !== undefined) problems.push(`${name} ${problem}`);
  }
  if ('headers' in mapping && Object.keys(mapping).some((name) => name.startsWith('header.'))) {
    problems.push('headers and header.NAME cannot be mapped together');
  }
  return problems;
}

function sourceProblem(name: string, source: FieldSource): string | undefined {
  const field = fieldNamed(name);
  if (field === undefined) {
    return `is no field: there are ${Object.keys(mappedFields).join(', ')}, and header.NAME of 1 to 20 lower-case letters and digits`;
  }
  if ('columns' in source) {
    if (source.columns.some((column) => column === '')) return 'has a column without a name';
    return source.columns.length > 1 && field.joined !== true ? 'takes one column' : undefined;
  }
  if (field.constant !== true) return 'takes a column, and no constant';
  if (source.constant === '' || source.constant.length > 200)
    return 'needs a constant of 1 to 200 characters';
  // So that a constant that emit would refuse, and with it every INSERT, is refused here.
  if (/\p{Cc}/u.test(source.constant)) return 'has a control character in its constant';
  if (field.kind === 'integer' && !/^[1-9]\d{0,8}$/.test(source.constant))
    return 'needs a whole number, 1 or more';
  if (name === 'ecosystem' && source.constant.length > 100) return 'needs a constant of 1 to 100 characters';
  return undefined;
}

/** Every column that a mapping names, once. */
export function mappedColumns(mapping: Mapping): string[] {
  return [
    ...new Set(Object.values(mapping).flatMap((source) => ('columns' in source ? source.columns : []))),
  ];
}

export function invalidMapping(problems: readonly string[]): Error {
  return runtimeError('ER1402', { detail: `${problems.join('; ')}.` });
}
