import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Deferred, deferred } from '../../internal/deferred.ts';
import { write } from '../ledger.suite.ts';
import type { SeamRecord } from './seam-record.suite.ts';

/** A commit that somebody has asked for and that is not answered. */
interface Commit {
  /** While it was in SyncRepWait. */
  holds: number[];
}

/**
 * Holds commits back between WAL and visibility, as a synchronous standby does that has gone: their records are
 * written, flushed and sent to whoever decodes the WAL, but no snapshot sees them before the release.
 */
export class CommitHolder {
  readonly #control: pg.Client;
  readonly #record: SeamRecord;
  readonly #commits = new Map<number, Commit>();
  #released: Deferred<void> = deferred();
  #hold = 0;
  /** Commits that waited. */
  heldCommits = 0;
  /** Whether what is held should stay in the window. */
  anchored = false;

  constructor(control: pg.Client, record: SeamRecord) {
    this.#control = control;
    this.#record = record;
  }

  /** Resolves at the next release. */
  get released(): Promise<void> {
    return this.#released.promise;
  }

  /** Commits so that it waits, if a hold is on. */
  async commit(client: pg.Client, events: number): Promise<void> {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const pid = rows[0]?.pid ?? 0;
    const commit: Commit = { holds: [] };
    this.#commits.set(pid, commit);
    const ids = await write(client, { events, synchronousCommit: 'on' });
    this.#commits.delete(pid);
    if (commit.holds.length === 0) return;
    this.heldCommits += 1;
    for (const hold of commit.holds) this.#record.held(hold, ids);
  }

  /** From now on commits wait. Resolves when one does: true; or when the signal comes: false. */
  async hold({
    anchored,
    signal,
  }: {
    readonly anchored: boolean;
    readonly signal: AbortSignal;
  }): Promise<boolean> {
    this.anchored = anchored;
    await this.#name('nobody');
    while (!signal.aborted) {
      const { rows } = await this.#control.query<{ pid: number }>(
        `select pid from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()`,
      );
      const waiting = rows.map(({ pid }) => this.#commits.get(pid)).filter((commit) => commit !== undefined);
      if (waiting.length > 0) {
        this.#hold += 1;
        for (const { holds } of waiting) holds.push(this.#hold);
        this.#record.beginHold(this.#hold);
        return true;
      }
      await sleep(2);
    }
    return false;
  }

  async release(): Promise<void> {
    this.#record.endHold();
    this.anchored = false;
    this.#released.resolve();
    this.#released = deferred();
    await this.#name('');
  }

  async #name(standby: string): Promise<void> {
    await this.#control.query(`alter system set synchronous_standby_names = '${standby}'`);
    await this.#control.query('select pg_reload_conf()');
  }
}
