const time = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** What {@link parseInstant} takes, for a person who wrote something else. */
export const instantForms =
  'a time looks like 2026-11-20T09:10:00Z or 2026-11-20T06:10:00-03:00, a day in UTC like 2026-11-20';

/**
 * A time as an operator writes it: ISO 8601 with its zone and up to microseconds, or a day in UTC; from 1970 on.
 *
 * @returns ISO 8601 in UTC, of the same precision; undefined: it is none
 */
export function parseInstant(text: string): string | undefined {
  const parsed = time.test(text) ? new Date(text) : undefined;
  if (parsed === undefined || Number.isNaN(parsed.getTime())) return undefined;
  // The calendar's 31 February is one of those that Date takes for another day.
  const day = text.slice(0, 10);
  if (new Date(`${day}T00:00:00Z`).toISOString().slice(0, 10) !== day) return undefined;
  const year = parsed.getUTCFullYear();
  if (year < 1970 || year > 9_999) return undefined;
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? '';
  return parsed.toISOString().replace('Z', `${micros}Z`);
}
