import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

export interface PatternOptions {
  /** What the whole text must be like, without anchors. */
  readonly pattern: string;
  /** Completes "it must be …". */
  readonly allowed: string;
  readonly placeholder: string;
}

/** Text of a certain form. */
export function pattern(options: PatternOptions): ValueKind<string> {
  const whole = `^(?:${options.pattern})$`;
  const form = new RegExp(whole);
  const read = (given: unknown): Parsed<string> =>
    typeof given === 'string' && form.test(given) ? { value: given } : refused(given, options.allowed);
  return {
    allowed: options.allowed,
    placeholder: options.placeholder,
    schema: { type: 'string', pattern: whole },
    types: { file: 'string', value: 'string' },
    fromText: read,
    fromFile: read,
    show: String,
  };
}
