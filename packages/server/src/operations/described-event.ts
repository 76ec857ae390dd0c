import { instantForms, type OutboxEvent, parseInstant } from '@event-runtime/runtime';
import { headerName } from '../config/kinds/route-list.ts';
import { serverError } from '../server-error.ts';

/** An event that is nowhere stored, as the command line says it: all that routes and their functions can read. */
export interface EventDescription {
  readonly type?: string | undefined;
  readonly tenant?: string | undefined;
  readonly ecosystem?: string | undefined;
  readonly key?: string | undefined;
  /** `name=value` each. */
  readonly header: readonly string[];
  /** JSON. */
  readonly payload?: string | undefined;
  /** A UUID. */
  readonly id?: string | undefined;
  readonly eventVersion?: string | undefined;
  readonly source?: string | undefined;
  readonly correlation?: string | undefined;
  readonly causation?: string | undefined;
  readonly time?: string | undefined;
}

export const uuid: RegExp = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

const noId = '00000000-0000-7000-8000-000000000000';

/** The flags that were given. */
export function flagsOf(description: EventDescription): string[] {
  const { type, tenant, ecosystem, key, header, payload } = description;
  const { id, eventVersion, source, correlation, causation, time } = description;
  const more = { id, 'event-version': eventVersion, source, correlation, causation, time };
  const flags = { type, tenant, ecosystem, key, header: header[0], payload, ...more };
  return Object.entries(flags).flatMap(([name, text]) => (text === undefined ? [] : [`--${name}`]));
}

/** The event that is described. @throws ER5001 */
export function described(description: EventDescription): OutboxEvent {
  const { type, tenant = 'tenant', ecosystem = null, key = null, header, payload = '{}' } = description;
  const { id = noId, eventVersion = '1', source = null, correlation = null, causation = null } = description;
  if (type === undefined) {
    throw refused(
      'Neither an event id nor --type was given.',
      'Give the UUID of an event, or describe one: `event-runtime routes test --type order.placed`.',
    );
  }
  for (const [name, text] of Object.entries({ type, tenant, source, correlation, causation })) {
    if (text === '') throw refused(`--${name} is empty.`, `No event has an empty ${name}.`);
  }
  if (!uuid.test(id)) throw refused(`--id is ${JSON.stringify(id)}.`, 'Give a UUID.');
  return {
    eventId: id.toLowerCase(),
    seq: 1n,
    tenantId: tenant,
    ecosystem,
    eventType: type,
    eventVersion: versionOf(eventVersion),
    entityKey: key,
    idempotencyKey: null,
    correlationId: correlation,
    causationId: causation,
    sourceService: source,
    traceparent: null,
    headers: header.length === 0 ? null : JSON.stringify(headersOf(header)),
    payload: jsonBytes(payload),
    recordedAt: recordedAt(description.time ?? new Date().toISOString()),
  };
}

function versionOf(text: string): number {
  const version = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : Number.NaN;
  if (version < 2 ** 31) return version;
  throw refused(`--event-version is ${JSON.stringify(text)}.`, 'Give a whole number from 1 to 2147483647.');
}

/** As PostgreSQL writes it. */
function recordedAt(time: string): string {
  const instant = parseInstant(time);
  if (instant === undefined)
    throw refused(`--time is ${JSON.stringify(time)}.`, `Give a time: ${instantForms}.`);
  return `${instant.replace('T', ' ').replace('Z', '')}+00`;
}

function headersOf(given: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const at = text.indexOf('=');
      if (headerName.test(text.slice(0, Math.max(at, 0)))) return [text.slice(0, at), text.slice(at + 1)];
      throw refused(
        `--header is ${JSON.stringify(text)}.`,
        'Write it as name=value; emit allows names of 1 to 20 of a-z and 0-9.',
      );
    }),
  );
}

function jsonBytes(text: string): Buffer {
  try {
    JSON.parse(text);
  } catch {
    throw refused('--payload is not JSON.', `Write it like '{"total":1}'.`);
  }
  return Buffer.from(text);
}

function refused(detail: string, remedy: string): Error {
  return serverError('ER5001', { detail, remedy });
}
