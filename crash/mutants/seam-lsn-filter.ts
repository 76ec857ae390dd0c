import type { Mutant } from './mutant.ts';

/** A commit record is in the log, and was sent, before its transaction is visible. */
export const seamLsnFilter: Mutant = {
  name: 'seam-lsn-filter',
  about: 'a sink that joins the window leaves out what was committed before an LSN',
  sources: 'wal',
  kills: 10,
  prelude: 'held',
  patches: [
    {
      file: 'runtime/dist/relay/feed/table-phase.js',
      find: 'logged.position.lsn < to.lsn && to.snapshot.sees(logged.txId)',
      replace: 'logged.position.lsn < to.lsn',
    },
  ],
};
