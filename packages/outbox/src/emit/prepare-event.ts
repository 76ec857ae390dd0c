import { type Catalog, eventName } from '../catalog/define-catalog.ts';
import type { EventDefinition } from '../catalog/define-event.ts';
import { producerError } from '../errors/codes.ts';
import type { OptionsCheck } from './checked-options.ts';
import type { CallOptions, EventOptions } from './emit-options.ts';
import type { EmitRow } from './emit-statement.ts';
import { entityKeyOf } from './entity-key.ts';
import { type ParsedData, parseData } from './parse-data.ts';
import { toPayload } from './payload.ts';
import { bytesBeyond } from './utf8-bytes.ts';

/** One event to be written. */
export interface EventInput {
  readonly event: EventDefinition;
  readonly data: unknown;
  readonly options: EventOptions & Pick<CallOptions, 'lock'>;
  /** Its place in `emitMany`, from 1, for messages. */
  readonly ordinal?: number;
}

/** What the outbox was created with, and the check of the call's options. */
export interface PrepareContext {
  readonly catalog: Catalog;
  readonly maxPayloadBytes: number;
  readonly checkOptions: OptionsCheck;
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
  const bytes = bytesBeyond(context.maxPayloadBytes, [payload]);
  if (bytes !== undefined) {
    const detail = `${label}: ${bytes} bytes, at most ${context.maxPayloadBytes}.`;
    throw producerError('ER2005', { detail });
  }
  const entityKey = entityKeyOf(event, { data, label });
  if (options.lock === 'entity' && entityKey === null) {
    throw producerError('ER2008', { detail: `${label}: lock: it has no key to lock.` });
  }
  return {
    ...context.checkOptions(options, label),
    eventType: event.type,
    payload,
    entityKey,
    eventVersion: String(event.version),
    source: context.catalog.source,
  };
}

function requireKnown(
  event: EventDefinition | undefined,
  { catalog, place }: { readonly catalog: Catalog; readonly place: string },
): void {
  if (event !== undefined && catalog.events.includes(event)) return;
  const name = typeof event === 'object' ? `${place}${eventName(event)}` : `${place}no event`;
  const namesake = catalog.events.some(
    (known) => known.type === event?.type && known.version === event.version,
  );
  const detail = namesake ? `${name} is another definition than the one in the catalogue.` : `${name}.`;
  throw producerError('ER2002', { detail });
}
