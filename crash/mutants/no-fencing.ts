import type { Mutant } from './mutant.ts';

/** The lease is taken for granted once it was had, and no write asks for its epoch. */
export const noFencing: Mutant = {
  name: 'no-fencing',
  about: 'a replica that was stopped past its lease goes on beside the one that took over',
  sources: 'wal',
  kills: 8,
  freezes: 6,
  patches: [
    {
      file: 'runtime/dist/relay/lease/lease-term.js',
      find: 'if (!this.#over && this.#options.clock() >= this.#validUntil)\n            this.lose();',
      replace: '',
    },
    {
      file: 'runtime/dist/relay/lease/lease-term.js',
      find: 'lose() {\n        if (this.#over)',
      replace: 'lose() {\n        if (this.#lost !== undefined)',
    },
    {
      file: 'runtime/dist/log/checkpoint.js',
      find: 'where c.epoch <= excluded.epoch',
      replace: 'where true',
    },
    {
      file: 'runtime/dist/log/checkpoint.js',
      find: 'and epoch = $4 and',
      replace: 'and $4::bigint is not null and',
    },
  ],
};
