import type { Mutant } from './mutant.ts';

/**
 * A failure in the relay's own order does not hold back what comes behind it. The sinks of a run take everything or
 * fail as a whole, so its file is made to turn some events away once, as a sink may: with what is behind them in the
 * batch. That alone is no fault.
 */
export const relayReorders: Mutant = {
  name: 'relay-reorders',
  about: 'a sink is given later events of an entity while one that it turned away waits',
  sources: 'wal',
  kills: 4,
  patches: [
    {
      file: 'runtime/dist/sinks/file/file-sink.js',
      find: 'const lines = batch.events.map(({ event }) => lineOf(event));',
      replace: `const turnedAway = (globalThis.__turnedAway ??= new Set());
        const behind = new Set();
        const lines = batch.events.map(({ event }) => {
            const entity = \`\${event.tenantId}/\${event.entityKey}\`;
            const first = event.seq % 25n === 0n && !turnedAway.has(event.eventId);
            if (!first && !behind.has(entity))
                return lineOf(event);
            turnedAway.add(event.eventId);
            behind.add(entity);
            return { type: 'retry', afterMs: 300, error: new Error('turned away') };
        });`,
    },
    {
      file: 'runtime/dist/relay/feed/in-hand.js',
      find: 'const held = this.#held.size + behind.size === 0 ? undefined : this.#heldOf(entry, behind);',
      replace: 'const held = undefined;',
    },
  ],
};
