import { createOutbox, defineCatalog, defineEvent, type StandardSchema } from '@event-runtime/outbox';
import type pg from 'pg';
import { type Example, githubEntityKey, githubExamples } from './github-examples.ts';
import type { SamplePayload } from './sample-payload.ts';

/** What GitHub sends is an object; the demo asks for no more. */
const anyObject: StandardSchema<Example, Example> = {
  '~standard': {
    version: 1,
    vendor: 'event-runtime-demo',
    validate: (value) =>
      typeof value === 'object' && value !== null
        ? { value: value as Example }
        : { issues: [{ message: 'is not an object' }] },
  },
};

const types = [...new Set(githubExamples().map(({ type }) => type))];
const events = types.map((type) =>
  defineEvent(type, { schema: anyObject, key: (data) => githubEntityKey(type.split('.')[1] ?? '', data) }),
);
const eventOf = new Map(events.map((event) => [event.type, event]));

const outbox = createOutbox({ catalog: defineCatalog({ source: 'demo', events }) });

/** Whether all of these can be emitted by the package: SQL is the way for texts that JSON.stringify never makes. */
export function forPackage(payloads: readonly SamplePayload[]): boolean {
  return payloads.every(({ type, data }) => data !== undefined && eventOf.has(type));
}

/**
 * Emits through `@event-runtime/outbox`, as a service in TypeScript does.
 *
 * @param options.many in one statement, by `emitMany`
 * @returns the events' ids, in order
 */
export async function emitByPackage(
  client: pg.ClientBase,
  payloads: readonly SamplePayload[],
  options: { readonly tenant: string; readonly many: boolean },
): Promise<string[]> {
  const { tenant, many } = options;
  const emissions = payloads.map(({ type, data }) => {
    const event = eventOf.get(type);
    if (event === undefined || data === undefined) throw new TypeError(`${type} is not in the catalogue`);
    return { event, data: data as Example };
  });
  if (many) {
    const results = await outbox.emitMany(client, emissions, { tenant, lock: 'entity' });
    return results.map(({ eventId }) => eventId);
  }
  const ids: string[] = [];
  for (const { event, data } of emissions) {
    ids.push((await outbox.emit(client, event, data, { tenant, lock: 'entity' })).eventId);
  }
  return ids;
}
