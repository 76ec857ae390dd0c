import type { JsonSchema } from './json-schema.ts';
import type { Parsed } from './parsed.ts';

/** What sort of value a setting has: how it is read from text and from a file, shown, and described. */
export interface ValueKind<T> {
  /** Completes "it must be …". */
  readonly allowed: string;
  /** Stands for the value in the help: `number`. */
  readonly placeholder: string;
  /** Of the value in the file. */
  readonly schema: JsonSchema;
  /** TypeScript's type of the value in the file, and of the value that was read. */
  readonly types: { readonly file: string; readonly value: string };
  /** Reads a flag or an environment variable. */
  fromText(text: string): Parsed<T>;
  /** Reads the value of a file, which may be anything. */
  fromFile(value: unknown): Parsed<T>;
  /** The value as a flag or an environment variable would give it. */
  show(value: T): string;
}
