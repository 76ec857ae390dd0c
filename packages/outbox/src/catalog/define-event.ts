import { producerError } from '../errors/codes.ts';
import { type InputOf, isStandardSchema, type OutputOf, type StandardSchema } from './standard-schema.ts';

/** One version of one event type: its name, its schema, and what is known of its data. */
export interface EventDefinition<
  Type extends string = string,
  Schema extends StandardSchema = StandardSchema,
> {
  /** For example `order.placed`. */
  readonly type: Type;
  /** A positive integer. */
  readonly version: number;
  readonly schema: Schema;
  /** See {@link EventDeclaration.key}. */
  key?(data: OutputOf<Schema>): string | null;
  readonly pii: readonly string[];
  readonly examples: ReadonlyArray<InputOf<Schema>>;
  readonly description?: string;
}

/** What {@link defineEvent} is told. */
export interface EventDeclaration<Schema extends StandardSchema> {
  /** Default 1. A change that old consumers cannot read needs a new version. */
  readonly version?: number;
  /** Any Standard Schema v1 validator, synchronous or not. Its output is what is emitted. */
  readonly schema: Schema;
  /**
   * The entity that the event is about, for example an order's id: events of one (tenant, key) are
   * delivered in commit order. Null or absent: the event has no order to keep.
   */
  readonly key?: (data: OutputOf<Schema>) => string | null;
  /** Dotted paths of fields that hold personal data. */
  readonly pii?: ReadonlyArray<PiiPath<OutputOf<Schema>>>;
  /** Data that the schema accepts: documentation that `checkCatalog` keeps true. */
  readonly examples?: ReadonlyArray<InputOf<Schema>>;
  /** One sentence for a reader of the catalogue. */
  readonly description?: string;
}

/** A field's name, or a dotted path that begins with one: a misspelt path would leave a field unmasked. */
export type PiiPath<Data> = unknown extends Data
  ? string
  : Data extends object
    ? `${Extract<keyof Data, string>}${'' | `.${string}`}`
    : never;

/**
 * Declares one version of an event type.
 *
 * @param type 1 to 200 characters: letters, digits and `_ . : / -`, beginning with a letter or digit
 * @throws ER2010 when a part of the definition is not valid
 */
export function defineEvent<const Type extends string, Schema extends StandardSchema>(
  type: Type,
  declaration: EventDeclaration<Schema>,
): EventDefinition<Type, Schema> {
  // From JavaScript anything may come; a pattern would take undefined for the word.
  if (typeof type !== 'string' || !/^[a-z0-9][\w.:/-]{0,199}$/i.test(type)) {
    throw producerError('ER2010', { detail: `event type ${shown(type)}` });
  }
  if (typeof declaration !== 'object' || (declaration as unknown) === null) {
    throw producerError('ER2010', { detail: `${type}: there is no declaration` });
  }
  const { version = 1, schema, key, pii = [], examples = [], description } = declaration;
  if (!Number.isInteger(version) || version < 1 || version > 2_147_483_647) {
    throw producerError('ER2010', { detail: `${type}: version ${String(version)} is no positive integer` });
  }
  if (!isStandardSchema(schema)) {
    throw producerError('ER2010', { detail: `${type}: the schema does not implement Standard Schema v1` });
  }
  if (key !== undefined && typeof key !== 'function') {
    throw producerError('ER2010', { detail: `${type}: the key is no function` });
  }
  if (!isList(pii) || !isList(examples)) {
    throw producerError('ER2010', { detail: `${type}: pii or examples is no array` });
  }
  return Object.freeze({
    type,
    version,
    schema,
    pii,
    examples,
    ...(key === undefined ? {} : { key }),
    ...(description === undefined ? {} : { description }),
  });
}

/** Whether it is an array, where the type says so already. */
export function isList(value: unknown): boolean {
  return Array.isArray(value);
}

/** A value that is not valid, as messages show it. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value).slice(0, 220) : `is ${typeof value}`;
}
