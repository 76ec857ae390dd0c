import type { Mutant } from './mutant.ts';

/** A failure does not hold back what waits behind it in its group. */
export const retryReorders: Mutant = {
  name: 'retry-reorders',
  about: 'a later event of an entity passes one that is to be tried again',
  sources: 'wal',
  kills: 4,
  patches: [
    {
      file: 'runtime/dist/webhooks/ordering-lanes.js',
      find: `lane.broken = true;
        const behind = lane.waiting.splice(0);
        this.#forget(behind);
        return behind;`,
      replace: `if (lane.waiting.length > 0)
            this.#ready.add(lane);
        else if (lane.group !== null)
            this.#lanes.delete(lane.group);
        return [];`,
    },
  ],
};
