/**
 * The W3C `traceparent` of the active OpenTelemetry span, or null where there is none.
 *
 * It reads what `@opentelemetry/api` 1.x registers, without importing it: the API object under
 * `Symbol.for('opentelemetry.js.api.1')`, whose `context` is the context manager, and the span under the
 * context key `Symbol.for('OpenTelemetry Context Key SPAN')`. Anything unexpected reads as no span.
 *
 * Sources: @opentelemetry/api 1.10 (global-utils, context-utils); W3C Trace Context §3.2.
 */
export function activeTraceparent(): string | null {
  try {
    const api = (globalThis as Record<symbol, unknown>)[apiKey] as OpenTelemetryApi | undefined;
    const context = api?.context?.active().getValue(spanKey)?.spanContext();
    if (context === undefined) return null;
    const flags = (context.traceFlags & 0xff).toString(16).padStart(2, '0');
    const traceparent = `00-${context.traceId}-${context.spanId}-${flags}`;
    return isTraceparent(traceparent) ? traceparent : null;
  } catch {
    return null;
  }
}

/** Whether a text is a `traceparent` of version 00, with ids that are not all zero. */
export function isTraceparent(text: string): boolean {
  return /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.test(text);
}

const apiKey = Symbol.for('opentelemetry.js.api.1');
const spanKey = Symbol.for('OpenTelemetry Context Key SPAN');

interface OpenTelemetryApi {
  readonly context?: {
    active(): {
      getValue(key: symbol):
        | {
            spanContext(): { readonly traceId: string; readonly spanId: string; readonly traceFlags: number };
          }
        | undefined;
    };
  };
}
