import { producerError } from '../errors/codes.ts';
import { activeTraceparent, isTraceparent } from './active-traceparent.ts';
import { checkText, type LimitedText, limits } from './check-text.ts';
import type { EventOptions } from './emit-options.ts';
import { toHeaders } from './event-headers.ts';

/** An event's options as the database takes them: texts, null for what is left out. */
export interface CheckedOptions {
  readonly tenant: string | null;
  readonly ecosystem: string | null;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly traceparent: string | null;
  readonly headers: string | null;
}

/** Checks an event's options. `label` is how messages name the event. */
export type OptionsCheck = (options: EventOptions, label: string) => CheckedOptions;

/**
 * The check of one call's options. Events that share their options, as the same object, share the answer:
 * a hundred events of one tenant are one check, and one look for the active span.
 *
 * The check throws ER2004 or ER2008, in the name of the first event that has the options.
 */
export function optionsCheck(): OptionsCheck {
  let last: { readonly options: EventOptions; readonly checked: CheckedOptions } | undefined;
  return (options, label) => {
    if (last?.options !== options) last = { options, checked: checkOptions(options, label) };
    return last.checked;
  };
}

function checkOptions(options: EventOptions, label: string): CheckedOptions {
  return {
    tenant: textOption('tenant', options, label),
    ecosystem: textOption('ecosystem', options, label),
    idempotencyKey: textOption('idempotencyKey', options, label),
    correlationId: textOption('correlationId', options, label),
    causationId: textOption('causationId', options, label),
    traceparent: traceparentOf(options.traceparent, label),
    headers: toHeaders(options.headers, label),
  };
}

type TextOption = Exclude<LimitedText, 'entityKey'>;

/** Null for an option left out; for the tenant the database then takes the transaction's own. */
function textOption(name: TextOption, options: EventOptions, label: string): string | null {
  const value = options[name];
  if (value === undefined) return null;
  if (name === 'tenant' && value === '') {
    throw producerError('ER2004', { detail: `${label}: the tenant option is empty.` });
  }
  return checkText(`${label}: ${name}`, value, limits[name]);
}

function traceparentOf(given: string | null | undefined, label: string): string | null {
  if (given === null) return null;
  if (given === undefined) return activeTraceparent();
  if (typeof given === 'string' && isTraceparent(given)) return given;
  const detail = `${label}: traceparent is not of the form 00-<trace>-<span>-<flags>.`;
  throw producerError('ER2008', { detail });
}
