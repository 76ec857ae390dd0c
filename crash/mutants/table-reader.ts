import type { Mutant } from './mutant.ts';

/** A transaction that was open at the end of a batch counts as read: what it commits later is never looked for. */
export const xminGateOff: Mutant = {
  name: 'xmin-gate-off',
  about: 'the table reader forgets which transactions were open where a batch ended',
  sources: 'table',
  kills: 4,
  patches: [
    {
      file: 'runtime/dist/relay/feed/table-phase.js',
      find: 'from = { ...from, snapshot: to.snapshot, batch: null };',
      replace:
        'from = { ...from, snapshot: to.snapshot.constructor.parse(`${to.snapshot.xmax}:${to.snapshot.xmax}:`), batch: null };',
    },
  ],
};

/** What most outbox pollers do. The highest `seq` is kept for each reader, that is for each sink. */
export const cursorBySeq: Mutant = {
  name: 'cursor-by-seq',
  about: 'the table reader goes on after the highest seq that it has seen',
  sources: 'table',
  kills: 4,
  patches: [
    {
      file: 'runtime/dist/log/page-fetch.js',
      find: 'if (open.length === 0 || after >= upTo)',
      replace: 'if (true)',
    },
    {
      file: 'runtime/dist/log/page-fetch.js',
      find: 'return await latePage(page, { plan: found, after: from });',
      replace: `const highest = (globalThis.__highest ??= new WeakMap());
        const known = highest.get(options.limits) ?? 0n;
        const fetched = await latePage(page, { plan: found, after: known > from ? known : from });
        highest.set(options.limits, fetched.events.at(-1)?.event.seq ?? known);
        return fetched;`,
    },
  ],
};

/** What is visible may not be on disk yet: a crash of the server takes it back. */
export const publishUnflushed: Mutant = {
  name: 'publish-unflushed',
  about: 'a batch of the table is handed over before the log is flushed up to its end',
  sources: 'table',
  kills: 24,
  prelude: 'relaxed',
  patches: [
    {
      file: 'runtime/dist/relay/feed/table-phase.js',
      find: 'if (events === 0 && (await flushed) === false)',
      replace: 'if (false)',
    },
  ],
};
