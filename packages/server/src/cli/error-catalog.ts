import { type ErrorCatalog, producerErrors, receiverErrors } from '@event-runtime/outbox';
import { runtimeErrors } from '@event-runtime/runtime';

/** Every code there is: of producers, receivers and the runtime. */
export const errorCatalog: ErrorCatalog = { ...producerErrors, ...receiverErrors, ...runtimeErrors };
