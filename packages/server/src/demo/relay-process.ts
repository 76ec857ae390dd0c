import { SupervisedProcess, type SupervisedProcessOptions } from '@event-runtime/runtime/testing';
import { serverError } from '../server-error.ts';
import type { RelayUnderTest } from './relay-under-test.ts';

export interface RelayProcessOptions extends Omit<SupervisedProcessOptions, 'onFailure'> {
  /** Called once when the process keeps ending by itself. ER5004 */
  readonly onFailure: (error: Error) => void;
}

/** The relay as users run it: a process of its own, started again when it ends by itself. */
export function relayProcess({ onFailure, ...options }: RelayProcessOptions): RelayUnderTest {
  return new SupervisedProcess({
    ...options,
    onFailure({ how, log, cause }) {
      const detail = `It is the relay (${how}). Its output ends with: ${log}`;
      onFailure(serverError('ER5004', { detail, cause }));
    },
  });
}
