import type { Mutant } from './mutant.ts';

/** The failpoint stays between the two steps, which are in the wrong order. */
export const redriveRemovesEarly: Mutant = {
  name: 'redrive-removes-early',
  about: 'a dead letter is removed before the sink has taken it',
  sources: 'wal',
  nats: 1,
  kills: 4,
  failpoints: ['redrive.taken'],
  operated: true,
  patches: [
    {
      file: 'runtime/dist/relay/letters/redriver.js',
      find: '            // failpoint: redrive.taken\n',
      replace: '',
    },
    {
      file: 'runtime/dist/relay/letters/redriver.js',
      find: '            const over = await this.#handOver(letters, stopping);\n',
      replace: `            await removeLetters(pool, letters);
            // failpoint: redrive.taken
            const over = await this.#handOver(letters, stopping);
`,
    },
  ],
};

/** Each letter by itself would do no harm: it shows in those of one entity. */
export const redriveReorders: Mutant = {
  name: 'redrive-reorders',
  about: 'of an entity the newest dead letter is handed over first',
  sources: 'wal',
  nats: 1,
  kills: 4,
  failpoints: ['redrive.taken'],
  operated: true,
  patches: [
    {
      file: 'runtime/dist/relay/letters/redrive-letters.js',
      find: 'c.total <= $7 order by c.place`',
      replace: 'c.total <= $7 order by c.place desc`',
    },
  ],
};

/** Where later events of an entity go on behind a letter this is right. */
export const lettersHoldNothing: Mutant = {
  name: 'letters-hold-nothing',
  about: 'later events of an entity pass a dead letter behind which they are to wait',
  sources: 'wal',
  nats: 1,
  afterDeadLetter: 'wait',
  kills: 4,
  failpoints: ['redrive.taken'],
  operated: true,
  patches: [
    {
      file: 'runtime/dist/relay/feed/feed.js',
      find: 'waits: parked === undefined ? undefined : (logged) => parked.has(logged),',
      replace: 'waits: undefined,',
    },
  ],
};
