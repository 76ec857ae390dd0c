import type { OutboxEvent } from '../log/outbox-event.ts';

/**
 * The version of the envelope: docs/reference/envelope.md. The body is the payload's bytes; everything
 * else travels as headers, named as in the CloudEvents 1.0 protocol bindings.
 */
export const envelopeVersion = '1';

/** Told of each attribute that an event has, in their canonical order, before a protocol's binding encodes them. */
export function eachAttribute(event: OutboxEvent, each: (name: string, value: string) => void): void {
  each('specversion', '1.0');
  each('id', event.eventId);
  each('type', event.eventType);
  each('source', event.sourceService === null ? '/event-runtime' : `/${event.sourceService}`);
  each('time', toRfc3339(event.recordedAt));
  each('envelope', envelopeVersion);
  each('tenant', event.tenantId);
  if (event.ecosystem !== null) each('ecosystem', event.ecosystem);
  if (event.entityKey !== null) each('entitykey', event.entityKey);
  each('seq', event.seq.toString());
  each('eventversion', String(event.eventVersion));
  if (event.correlationId !== null) each('correlationid', event.correlationId);
  if (event.causationId !== null) each('causationid', event.causationId);
  if (event.replay !== undefined) each('replay', event.replay);
}

/** The envelope's attributes, see {@link eachAttribute}. */
export function envelopeAttributes(event: OutboxEvent): Array<readonly [name: string, value: string]> {
  const attributes: Array<readonly [string, string]> = [];
  eachAttribute(event, (name, value) => attributes.push([name, value]));
  return attributes;
}

/**
 * The envelope as HTTP headers, the CloudEvents HTTP binding in binary mode: `ce-` and the attribute's
 * name, the value percent-encoded as §3.1.3.2 of that binding asks. `traceparent` keeps its own name.
 *
 * Source: CloudEvents 1.0.2, HTTP Protocol Binding.
 */
export function httpEnvelope(event: OutboxEvent): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  eachAttribute(event, (name, value) => {
    headers[`ce-${name}`] = percentEncode(value);
  });
  if (event.traceparent !== null) headers['traceparent'] = event.traceparent;
  for (const [name, value] of Object.entries(producerHeaders(event))) {
    headers[`ce-h${name}`] = percentEncode(value);
  }
  return headers;
}

/** All that an event has beside its payload, by name: the envelope, `traceparent`, and each of the producer's headers under `h`. */
export function allAttributes(event: OutboxEvent): Record<string, string> {
  const attributes = Object.fromEntries(envelopeAttributes(event));
  if (event.traceparent !== null) attributes['traceparent'] = event.traceparent;
  for (const [name, value] of Object.entries(producerHeaders(event))) attributes[`h${name}`] = value;
  return attributes;
}

/**
 * The producer's own headers. Their names are 1 to 20 lower-case letters and digits, which `event_runtime.emit`
 * checks: so `ce-h` and the name is a header of its own for each, and none of the envelope's.
 */
export function producerHeaders(event: OutboxEvent): Readonly<Record<string, string>> {
  return event.headers === null ? {} : (JSON.parse(event.headers) as Record<string, string>);
}

/** Space, double quote, percent and all outside printable ASCII, as UTF-8 octets. */
export function percentEncode(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what must go.
  return value.replaceAll(/[\u0000-\u0020"%\u007f-\u{10ffff}]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** `2026-11-20 10:00:00.123456+00` → `2026-11-20T10:00:00.123456Z` */
function toRfc3339(text: string): string {
  if (text[10] === ' ' && text.endsWith('+00')) return `${text.slice(0, 10)}T${text.slice(11, -3)}Z`;
  // Of a year above 9999.
  return text.replace(' ', 'T').replace(/\+00$/, 'Z');
}
