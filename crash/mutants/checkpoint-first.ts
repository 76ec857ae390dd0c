import type { Mutant } from './mutant.ts';

/** On a connection of its own, so in a transaction of its own. */
export const checkpointFirst: Mutant = {
  name: 'checkpoint-first',
  about: 'the checkpoint of the webhooks is committed before their deliveries are',
  sources: 'wal',
  kills: 12,
  patches: [
    {
      file: 'runtime/dist/webhooks/fan-out.js',
      find: 'await saveCheckpoint(client, {',
      replace: 'await saveCheckpoint(pool, {',
    },
  ],
};
