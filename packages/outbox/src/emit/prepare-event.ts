import { type Catalog, eventName } from '../catalog/define-catalog.ts';
import type { EventDefinition } from '../catalog/define-event.ts';
import { producerError } from '../errors/codes.ts';
import { activeTraceparent, isTraceparent } from './active-traceparent.ts';
import { checkText, type LimitedText, limits } from './check-text.ts';
import type { CallOptions, EventOptions } from './emit-options.ts';
import type { EmitRow } from './emit-statement.ts';
import { entityKeyOf } from './entity-key.ts';
import { toHeaders } from './event-headers.ts';
import { type ParsedData, parseData } from './parse-data.ts';
import { toPayload } from './payload.ts';

/** One event to be written. */
export interface EventInput {
  readonly event: EventDefinition;
  readonly data: unknown;
  readonly options: EventOptions & Pick<CallOptions, 'lock'>;
  /** Its place in `emitMany`, from 1, for messages. */
  readonly ordinal?: number;
}

/** What the outbox was created with. */
export interface PrepareContext {
  readonly catalog: Catalog;
  readonly maxPayloadBytes: number;
}

/**
 * All checks of one event, and its form as the database takes it. Nothing is sent. A promise only for a
 * validator that answers one.
 *
 * @throws ER2001, ER2002, ER2004, ER2005, ER2007 or ER2008
 */
export function prepareEvent(input: EventInput, context: PrepareContext): EmitRow | Promise<EmitRow> {
  const { event, options } = input;
  const place = input.ordinal === undefined ? '' : `event ${input.ordinal}, `;
  if (options.lock !== undefined && options.lock !== 'entity') {
    throw producerError('ER2008', { detail: `${place}lock: only 'entity' is known.` });
  }
  requireKnown(event, { catalog: context.catalog, place });
  const label = `${place}${eventName(event)}`;
  const parsed = parseData(event, { data: input.data, label });
  return parsed instanceof Promise
    ? parsed.then((each: ParsedData) => toRow(input, { context, data: each.value, label }))
    : toRow(input, { context, data: parsed.value, label });
}

function toRow(
  { event, options }: EventInput,
  subject: { readonly context: PrepareContext; readonly data: unknown; readonly label: string },
): EmitRow {
  const { context, data, label } = subject;
  const payload = toPayload(label, data);
  const bytes = Buffer.byteLength(payload);
  if (bytes > context.maxPayloadBytes) {
    const detail = `${label}: ${bytes} bytes, at most ${context.maxPayloadBytes}.`;
    throw producerError('ER2005', { detail });
  }
  const entityKey = entityKeyOf(event, { data, label });
  if (options.lock === 'entity' && entityKey === null) {
    throw producerError('ER2008', { detail: `${label}: lock: it has no key to lock.` });
  }
  return {
    eventType: event.type,
    payload,
    tenant: textOption('tenant', options, label),
    entityKey,
    ecosystem: textOption('ecosystem', options, label),
    eventVersion: String(event.version),
    idempotencyKey: textOption('idempotencyKey', options, label),
    correlationId: textOption('correlationId', options, label),
    causationId: textOption('causationId', options, label),
    source: context.catalog.source,
    traceparent: traceparentOf(options.traceparent, label),
    headers: toHeaders(options.headers, label),
  };
}

function requireKnown(
  event: EventDefinition | undefined,
  { catalog, place }: { readonly catalog: Catalog; readonly place: string },
): void {
  if (event !== undefined && catalog.events.includes(event)) return;
  const name = event === undefined ? `${place}no event` : `${place}${eventName(event)}`;
  const namesake = catalog.events.some(
    (known) => known.type === event?.type && known.version === event.version,
  );
  const detail = namesake ? `${name} is another definition than the one in the catalogue.` : `${name}.`;
  throw producerError('ER2002', { detail });
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
