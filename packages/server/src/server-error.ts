import { errorFactory } from '@event-runtime/outbox';
import { runtimeErrors } from '@event-runtime/runtime';

/** `throw serverError('ER5001', { detail: '--events is 0' })`: the runtime's catalogue, thrown from here. */
export const serverError: ReturnType<typeof errorFactory<typeof runtimeErrors>> = errorFactory(runtimeErrors);
