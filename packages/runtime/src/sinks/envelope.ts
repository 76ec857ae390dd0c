import type { OutboxEvent } from '../log/outbox-event.ts';

/**
 * The version of the envelope: docs/reference/envelope.md. The body is the payload's bytes; everything
 * else travels as headers, named as in the CloudEvents 1.0 protocol bindings.
 */
export const envelopeVersion = '1';

/** The envelope's attributes, in their canonical order, before a protocol's binding encodes them. */
export function envelopeAttributes(event: OutboxEvent): Array<readonly [name: string, value: string]> {
  const attributes: Array<readonly [string, string | null]> = [
    ['specversion', '1.0'],
    ['id', event.eventId],
    ['type', event.eventType],
    ['source', event.sourceService === null ? '/event-runtime' : `/${event.sourceService}`],
    ['time', toRfc3339(event.recordedAt)],
    ['envelope', envelopeVersion],
    ['tenant', event.tenantId],
    ['ecosystem', event.ecosystem],
    ['entitykey', event.entityKey],
    ['seq', event.seq.toString()],
    ['eventversion', String(event.eventVersion)],
    ['correlationid', event.correlationId],
    ['causationid', event.causationId],
    ['replay', event.replay ?? null],
  ];
  return attributes.filter((pair): pair is readonly [string, string] => pair[1] !== null);
}

/**
 * The envelope as HTTP headers, the CloudEvents HTTP binding in binary mode: `ce-` and the attribute's
 * name, the value percent-encoded as §3.1.3.2 of that binding asks. `traceparent` keeps its own name.
 *
 * Source: CloudEvents 1.0.2, HTTP Protocol Binding.
 */
export function httpEnvelope(event: OutboxEvent): Record<string, string> {
  return { 'content-type': 'application/json', ...Object.fromEntries(bindingHeaders(event)) };
}

/** What the bindings in binary mode have in common: the attributes as headers, `traceparent`, the producer's own headers. */
export function bindingHeaders(event: OutboxEvent): Array<readonly [name: string, value: string]> {
  const headers: Array<readonly [string, string]> = [];
  for (const [name, value] of envelopeAttributes(event)) headers.push([`ce-${name}`, percentEncode(value)]);
  if (event.traceparent !== null) headers.push(['traceparent', event.traceparent]);
  for (const [name, value] of Object.entries(producerHeaders(event)))
    headers.push([`ce-h${name}`, percentEncode(value)]);
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
function percentEncode(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters are what must go.
  return value.replaceAll(/[\u0000-\u0020"%\u007f-\u{10ffff}]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** `2026-11-20 10:00:00.123456+00` → `2026-11-20T10:00:00.123456Z` */
function toRfc3339(text: string): string {
  return text.replace(' ', 'T').replace(/\+00$/, 'Z');
}
