/** What the catalogue knows of one error code; the reference page is generated from it. */
export interface ErrorEntry {
  /** What happened, in one sentence. */
  readonly meaning: string;
  /** What to do about it: a sentence, where possible with the command or statement to copy. */
  readonly remedy: string;
  /** Whether the same call may succeed later without any change by a person. */
  readonly retryable: boolean;
}

/** A group of error codes, keyed by code (`ER` and four digits). */
export type ErrorCatalog = Readonly<Record<string, ErrorEntry>>;

export interface CodedErrorOptions {
  /** The value that was seen, and whatever else a reader needs to act. Never a secret, never a payload. */
  readonly detail?: string;
  /** Overrides the catalogue's remedy where the place knows better what to do. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/**
 * The base of every error that event-runtime throws on purpose.
 *
 * Switch on {@link code}, never on the message: the message is for people and may change.
 * It reads `CODE meaning detail — remedy`, because most tools show the message only.
 */
export class EventRuntimeError extends Error {
  override readonly name: string = 'EventRuntimeError';
  readonly code: string;
  readonly remedy: string;
  readonly retryable: boolean;

  constructor(init: { code: string; entry: ErrorEntry }, options: CodedErrorOptions = {}) {
    const remedy = options.remedy ?? init.entry.remedy;
    const detail = options.detail === undefined ? '' : ` ${options.detail}`;
    super(`${init.code} ${init.entry.meaning}${detail} — ${remedy}`, { cause: options.cause });
    this.code = init.code;
    this.remedy = remedy;
    this.retryable = init.entry.retryable;
  }
}

/**
 * Whether a value is an error of ours, also across copies of this package in one process
 * (`instanceof` would say no to the other copy's class).
 */
export function isEventRuntimeError(value: unknown): value is EventRuntimeError {
  return (
    value instanceof Error && 'code' in value && /^ER\d{4}$/.test(String(value.code)) && 'retryable' in value
  );
}

/** Makes the thrower of one catalogue: `const fail = errorFactory(codes); throw fail('ER2001', {...})`. */
export function errorFactory<const C extends ErrorCatalog>(
  catalog: C,
): (code: keyof C & string, options?: CodedErrorOptions) => EventRuntimeError {
  return (code, options) => {
    const entry = catalog[code];
    if (entry === undefined) throw new TypeError(`no such error code: ${code}`);
    return new EventRuntimeError({ code, entry }, options);
  };
}
