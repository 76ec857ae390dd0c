import { errorFactory } from './coded-error.ts';

/** ER2xxx: what a producer may meet. */
export const producerErrors = {
  ER2001: {
    meaning: 'The event data does not fit its schema.',
    remedy: 'Correct the data, or give the event a new version with a new schema.',
    retryable: false,
  },
  ER2002: {
    meaning: 'The event type is not in the catalogue.',
    remedy: 'Add the event to defineCatalog({ events: [...] }), or emit one that is there.',
    retryable: false,
  },
  ER2003: {
    meaning: 'emit() was called without an open transaction.',
    remedy:
      'Call emit() inside the transaction that writes the business row: BEGIN, your writes, emit(), COMMIT.',
    retryable: false,
  },
  ER2004: {
    meaning: 'The event has no tenant.',
    remedy: "Pass { tenant }, or set it for the transaction: set_config('event_runtime.tenant', $1, true).",
    retryable: false,
  },
  ER2005: {
    meaning: 'The payload is too large.',
    remedy: 'Store the large part elsewhere and emit a reference to it, or raise maxPayloadBytes.',
    retryable: false,
  },
  ER2006: {
    meaning: 'The tenant of the event is not the tenant of the transaction.',
    remedy: 'Emit for the tenant that event_runtime.tenant names, or leave the tenant option out.',
    retryable: false,
  },
  ER2007: {
    meaning: 'The event cannot be written as JSON.',
    remedy: 'Emit plain data: no bigint, no function, no circular reference.',
    retryable: false,
  },
  ER2008: {
    meaning: 'An argument of emit is not valid.',
    remedy: 'Correct the argument that the message names.',
    retryable: false,
  },
  ER2009: {
    meaning: 'Another transaction claimed the same idempotency key after this transaction took its snapshot.',
    remedy: 'Run the whole transaction again; under READ COMMITTED this cannot happen.',
    retryable: true,
  },
  ER2010: {
    meaning: 'The event definition or catalogue is not valid.',
    remedy: 'Correct the definition that the message names.',
    retryable: false,
  },
  ER2011: {
    meaning: 'The database has no event_runtime schema, or this role or session may not use it.',
    remedy:
      'Run `npx event-runtime migrate`, `grant event_runtime_producer to <role>`, and leave row_security = on.',
    retryable: false,
  },
} as const;

export const producerError: ReturnType<typeof errorFactory<typeof producerErrors>> =
  errorFactory(producerErrors);

/** ER21xx: what a receiver of webhooks may meet. */
export const receiverErrors = {
  ER2101: {
    meaning: 'The request is not a signed webhook.',
    remedy: 'Pass the headers webhook-id, webhook-timestamp and webhook-signature as they came; answer 400.',
    retryable: false,
  },
  ER2102: {
    meaning: 'The webhook was signed too long ago, or in the future.',
    remedy: 'Answer 400, and check the clock of this machine: it may differ by toleranceSeconds.',
    retryable: false,
  },
  ER2103: {
    meaning: 'No signature of the webhook was made with a known secret.',
    remedy:
      'Answer 401. If the sender is genuine: pass the body as the bytes that came, and the secret of this endpoint.',
    retryable: false,
  },
  ER2104: {
    meaning: 'A webhook secret is not valid.',
    remedy: 'Pass the secret as it was shown: whsec_ and the base64 of 24 to 64 bytes.',
    retryable: false,
  },
} as const;

export const receiverError: ReturnType<typeof errorFactory<typeof receiverErrors>> =
  errorFactory(receiverErrors);
