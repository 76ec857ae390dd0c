import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const units = { KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 } as const;
const form = /^(\d{1,12})(KiB|MiB|GiB)?$/;

/** A number of bytes, from `least` to `most`: alone, or with KiB, MiB or GiB. */
export function byteSize(options: { readonly least: number; readonly most: number }): ValueKind<number> {
  const { least, most } = options;
  const allowed = `a size like 32MiB (a number of bytes, or with KiB, MiB or GiB), from ${show(least)} to ${show(most)}`;
  const fits = (value: number): boolean => Number.isInteger(value) && value >= least && value <= most;
  const fromText = (given: string): Parsed<number> => {
    const [, digits, unit] = form.exec(given) ?? [];
    const value = Number(digits) * (unit === undefined ? 1 : units[unit as keyof typeof units]);
    return fits(value) ? { value } : refused(given, allowed);
  };
  return {
    allowed,
    placeholder: 'size',
    schema: {
      anyOf: [
        { type: 'integer', minimum: least, maximum: most },
        { type: 'string', pattern: form.source },
      ],
    },
    types: { file: 'number | string', value: 'number' },
    fromText,
    fromFile(value) {
      if (typeof value === 'string') return fromText(value);
      return typeof value === 'number' && fits(value) ? { value } : refused(value, allowed);
    },
    show,
  };
}

/** In the largest unit that leaves a whole number. */
function show(bytes: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find(
    (one) => bytes >= units[one] && bytes % units[one] === 0,
  );
  return unit === undefined ? String(bytes) : `${bytes / units[unit]}${unit}`;
}
