import { type Parsed, refused } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

export interface DurationOptions {
  /** Milliseconds. */
  readonly least: number;
  /** Milliseconds. */
  readonly most: number;
  /** Whether a number alone is milliseconds: only where the setting's name says so. */
  readonly bare: boolean;
}

/** A time span, in milliseconds once it is read: a whole number with `ms`, `s`, `m` or `h`. */
export function duration(options: DurationOptions): ValueKind<number> {
  const { least, most, bare } = options;
  const form = new RegExp(bare ? '^(\\d{1,9})(ms|s|m|h)?$' : '^(\\d{1,9})(ms|s|m|h)$');
  const alone = bare ? ', a number alone being milliseconds' : '';
  const allowed = `a duration like 250ms, 5s, 5m or 2h${alone}, from ${show(least)} to ${show(most)}`;
  const text = { type: 'string', pattern: form.source } as const;
  const fits = (value: number): boolean => Number.isInteger(value) && value >= least && value <= most;
  const fromText = (given: string): Parsed<number> => {
    const [, digits, unit] = form.exec(given) ?? [];
    const value = Number(digits) * units[(unit ?? 'ms') as keyof typeof units];
    return fits(value) ? { value } : refused(given, allowed);
  };
  return {
    allowed,
    placeholder: 'duration',
    schema: bare ? { anyOf: [{ type: 'integer', minimum: least, maximum: most }, text] } : text,
    types: { file: bare ? 'number | string' : 'string', value: 'number' },
    fromText,
    fromFile(value) {
      if (typeof value === 'string') return fromText(value);
      return bare && typeof value === 'number' && fits(value) ? { value } : refused(value, allowed);
    },
    show,
  };
}

/** In the largest unit that leaves a whole number. */
function show(milliseconds: number): string {
  const unit = (['h', 'm', 's'] as const).find((one) => milliseconds % units[one] === 0) ?? 'ms';
  return milliseconds === 0 ? '0s' : `${milliseconds / units[unit]}${unit}`;
}
