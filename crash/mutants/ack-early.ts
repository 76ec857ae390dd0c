import type { ReadyMutant } from './mutant.ts';

/** What other relays do: confirm when it is read, and trust the slot alone after a restart. */
export const ackEarly: ReadyMutant = {
  name: 'ack-early',
  about: 'the server may forget a transaction before the sinks have it durably',
  state: 'ready',
  sources: 'wal',
  patches: [
    {
      file: 'runtime/dist/relay/window.js',
      find: 'if (ticket === undefined || !seen.sees(txId) || !this.#stored(last))',
      replace: 'if (ticket === undefined)',
    },
    {
      file: 'runtime/dist/relay/lead.js',
      find: 'confirmed <= position.lsn',
      replace: 'true',
    },
  ],
};
