import { producerError } from '../errors/codes.ts';
import { type EventDefinition, isList, shown } from './define-event.ts';

/** The events that one service may emit. */
export interface Catalog<Event extends EventDefinition = EventDefinition> {
  /** The service's name; it travels with each event (`source_service`, `ce-source`). */
  readonly source: string;
  readonly events: readonly Event[];
}

/** The union of a catalogue's event definitions. */
export type EventOf<C extends Catalog> = C['events'][number];

/**
 * Gathers the events of one service.
 *
 * @param catalog `source` is the service's name, without a leading slash: letters, digits and
 *   `_ . / -`, at most 200 characters
 * @throws ER2010 when the source is not valid, an event is none, or a type and version occur twice
 */
export function defineCatalog<const Events extends readonly EventDefinition[]>(catalog: {
  readonly source: string;
  readonly events: Events;
}): Catalog<Events[number]> {
  if (typeof catalog.source !== 'string' || !/^[a-z0-9][\w./-]{0,199}$/i.test(catalog.source)) {
    throw producerError('ER2010', { detail: `source ${shown(catalog.source)}` });
  }
  const events: readonly EventDefinition[] = catalog.events;
  if (!isList(events)) throw producerError('ER2010', { detail: 'events is no array' });
  const seen = new Set<string>();
  for (const [index, event] of events.entries()) {
    if (typeof event !== 'object' || (event as unknown) === null) {
      throw producerError('ER2010', { detail: `events[${index}] is not made by defineEvent` });
    }
    const name = eventName(event);
    if (seen.has(name)) throw producerError('ER2010', { detail: `${name} occurs twice` });
    seen.add(name);
  }
  return Object.freeze({ source: catalog.source, events: Object.freeze([...catalog.events]) });
}

/** How messages name an event definition: `order.placed v1`. */
export function eventName(event: EventDefinition): string {
  return `${event.type} v${event.version}`;
}
