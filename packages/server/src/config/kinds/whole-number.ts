import { refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

export interface WholeNumberOptions {
  readonly least: number;
  readonly most: number;
  /** What is counted: `days`. */
  readonly unit?: string;
}

export function wholeNumber(options: WholeNumberOptions): ValueKind<number> {
  const { least, most, unit } = options;
  const allowed = `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${least} to ${most}`;
  const fits = (value: number): boolean => Number.isInteger(value) && value >= least && value <= most;
  return {
    allowed,
    placeholder: unit ?? 'number',
    schema: { type: 'integer', minimum: least, maximum: most },
    types: { file: 'number', value: 'number' },
    fromText: (text) =>
      /^\d{1,9}$/.test(text) && fits(Number(text)) ? { value: Number(text) } : refused(text, allowed),
    fromFile: (value) => (typeof value === 'number' && fits(value) ? { value } : refused(value, allowed)),
    show: String,
  };
}
