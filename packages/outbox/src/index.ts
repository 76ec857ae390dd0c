export {
  type CodedErrorOptions,
  type ErrorCatalog,
  type ErrorEntry,
  EventRuntimeError,
  errorFactory,
  isEventRuntimeError,
} from './errors/coded-error.ts';
export { producerErrors } from './errors/codes.ts';
