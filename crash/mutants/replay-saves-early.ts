import type { Mutant } from './mutant.ts';

/** The failpoint stays between the two steps, which are in the wrong order. */
export const replaySavesEarly: Mutant = {
  name: 'replay-saves-early',
  about: 'the progress of a replay is saved before the sink has taken the events',
  sources: 'wal',
  kills: 4,
  failpoints: ['replay.handed'],
  operated: true,
  patches: [
    {
      file: 'runtime/dist/relay/replay/replayer.js',
      find: '                // failpoint: replay.handed\n',
      replace: '',
    },
    {
      file: 'runtime/dist/relay/replay/replayer.js',
      find: '                const handed = await this.#hand(events, { book, pace, signal });\n',
      replace: `                book.pass(upTo, { delivered: events.length, rejected: 0 });
                await book.save();
                // failpoint: replay.handed
                const handed = await this.#hand(events, { book, pace, signal });
`,
    },
    {
      file: 'runtime/dist/relay/replay/replayer.js',
      find: 'book.pass(upTo, handed);',
      replace: 'void 0;',
    },
  ],
};
