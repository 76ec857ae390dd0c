import type { Mutant } from './mutant.ts';

/** What other relays do: confirm when it is read, and trust the slot alone after a restart. */
export const ackEarly: Mutant = {
  name: 'ack-early',
  about: 'the server may forget a transaction before the sinks have it durably',
  sources: 'wal',
  kills: 32,
  patches: [
    {
      file: 'runtime/dist/relay/feed/window.js',
      find: 'if (ticket === undefined || !seen.sees(txId) || !this.#stored(last))',
      replace: 'if (ticket === undefined)',
    },
    {
      file: 'runtime/dist/relay/lead.js',
      find: 'confirmed <= position.lsn && changedBy',
      replace: 'changedBy',
    },
  ],
};
