import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { eventually } from '../../replication/stream-fixture.suite.ts';
import { createLogger, type Logger } from '../../telemetry/logger.ts';
import { EmbeddedPostgres } from '../../testing/embedded-postgres.ts';
import type { StoppedCluster } from '../../testing/stopped-cluster.ts';
import { createLedger, draws, judge, readLedger, type Verdict, write } from '../ledger.suite.ts';
import type { Relay } from '../relay.ts';
import { Consumer, RelayFixture } from '../relay-fixture.suite.ts';
import { CommitHolder } from './seam-holder.suite.ts';
import { SeamRecord, type SeamTeeth } from './seam-record.suite.ts';

export interface SeamOptions {
  /** The npm package of the server. */
  readonly package: string;
  /** What the server begins with. Default: it is new, and migrated. */
  readonly copyOf?: StoppedCluster | undefined;
  /** How many joins there are to be, at least. */
  readonly joins: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

/** What came of a run; the verdict is the sum over all sinks. */
export interface SeamResult extends SeamTeeth, Verdict {
  readonly seed: number;
  readonly sinks: number;
  /** Committed, once. */
  readonly events: number;
  /** Commits that waited between WAL and visibility. */
  readonly heldCommits: number;
  /** Events that sinks took from the table, and from the WAL. */
  readonly fromTable: number;
  readonly fromWal: number;
  readonly seconds: number;
}

const behindMs = 120;
const pausedSinks = ['paused one', 'paused two', 'paused three'] as const;

/**
 * Sinks leave the window and join it again and again, under load, while commits are held back between WAL and
 * visibility: `synchronous_standby_names` names nobody, and is reset after a moment.
 *
 * - `steady` takes everything at once: what it has taken leaves the window.
 * - `paused …` are paused and resumed by an operator.
 * - `stalling` stands still for longer than it may, and leaves for being behind.
 * - `slow` needs a while for each batch: a burst fills the window, and it leaves for being slow.
 * - `anchor` stands still during every other hold. Held commits then stay in the window, and sinks join over them;
 *   in the other holds they depart, and nobody may join before they are visible.
 */
export async function runSeam(options: SeamOptions): Promise<SeamResult> {
  const began = performance.now();
  const settings = { fsync: 'off', full_page_writes: 'off', max_slot_wal_keep_size: '2GB' };
  await using server = await EmbeddedPostgres.start({
    package: options.package,
    settings,
    copyOf: options.copyOf,
  });
  await using fixture = await RelayFixture.create(server.url);
  const result = await new SeamRun(fixture, options).run();
  return { ...result, seconds: Math.round((performance.now() - began) / 100) / 10 };
}

class SeamRun {
  readonly #fixture: RelayFixture;
  readonly #options: SeamOptions;
  readonly #random: () => number;
  readonly #record = new SeamRecord();
  readonly #consumers = new Map<string, Consumer>();
  readonly #over = new AbortController();

  constructor(fixture: RelayFixture, options: SeamOptions) {
    this.#fixture = fixture;
    this.#options = options;
    this.#random = draws(options.seed);
    for (const name of ['steady', ...pausedSinks, 'stalling', 'slow', 'anchor']) {
      const consumer = new Consumer(name);
      this.#consumers.set(name, consumer);
      this.#record.follow(consumer);
    }
  }

  async run(): Promise<Omit<SeamResult, 'seconds'>> {
    const fixture = this.#fixture;
    await createLedger(fixture.sql);
    const control = await this.#connect();
    const holder = new CommitHolder(control, this.#record);
    this.#behave(holder);
    const relay = this.#relay();
    await relay.start();
    const connect = async (count: number): Promise<pg.Client[]> =>
      await Promise.all(Array.from({ length: count }, () => this.#connect()));
    const [writers, operators] = [await connect(7), await connect(pausedSinks.length)];
    const work = [
      ...writers.slice(0, 4).map(async (client, at) => await this.#write(client, at)),
      ...writers.slice(4).map(async (client) => await this.#writeHeld(client, holder)),
      ...operators.map(async (operator, at) => await this.#pauseAndResume(at, { operator, relay })),
      this.#hold(holder),
    ];
    try {
      await Promise.race([this.#enough(relay), Promise.all(work)]);
    } finally {
      this.#over.abort();
      await Promise.allSettled([holder.release()]);
    }
    await Promise.all(work);
    return await this.#judge(relay, holder);
  }

  async #judge(relay: Relay, holder: CommitHolder): Promise<Omit<SeamResult, 'seconds'>> {
    await this.#fixture.rows('update event_runtime.relay_checkpoint set paused_at = null');
    // The relay itself says that everything is delivered: what has not come by then is lost.
    await eventually(
      () =>
        this.#fixture.rows<{ behind: string }>(
          `select count(*)::text as behind from ledger l, event_runtime.relay_checkpoint c
            where not pg_visible_in_snapshot(l.tx_id, c.snapshot)`,
        ),
      ([row]) => row?.behind === '0',
    );
    await relay.stop();
    const ledger = await readLedger(this.#fixture.sql);
    const sums = { lost: 0, phantom: 0, reordered: 0, duplicates: 0, fromTable: 0, fromWal: 0 };
    const named: string[] = [];
    for (const [name, { events }] of this.#consumers) {
      const arrivals = events.map(({ event }) => ({ eventId: event.eventId, entity: event.entityKey }));
      const verdict = judge(ledger, arrivals);
      for (const kind of ['lost', 'phantom', 'reordered', 'duplicates'] as const) sums[kind] += verdict[kind];
      named.push(...verdict.named.map((line) => `${name}: ${line}`));
      const table = events.filter(({ position }) => position === null).length;
      sums.fromTable += table;
      sums.fromWal += events.length - table;
    }
    return {
      ...sums,
      ...this.#record.teeth(),
      seed: this.#options.seed,
      sinks: this.#consumers.size,
      events: ledger.length,
      heldCommits: holder.heldCommits,
      named: named.slice(0, 10),
    };
  }

  #relay(): Relay {
    const sources = [...this.#consumers.values()].map(({ source }) => source);
    return this.#fixture.relay(sources, { windowBytes: 128 * 1_024, behindMs, logger: this.#logger() });
  }

  #logger(): Logger {
    const take = (line: string): void =>
      this.#record.say(JSON.parse(line) as Readonly<Record<string, unknown>>);
    return createLogger({ level: 'info', destination: { write: (line) => take(line) } });
  }

  /** How the sinks behave that leave by themselves. */
  #behave(holder: CommitHolder): void {
    const gateOf = (name: string, gate: Consumer['gate']): void => {
      (this.#consumers.get(name) as Consumer).gate = gate;
    };
    gateOf('stalling', async () => {
      if (this.#random() < 0.01) await this.#pause(1.3 * behindMs);
    });
    gateOf('slow', async () => {
      if (this.#random() < 0.3) await this.#pause(1);
    });
    gateOf('anchor', async () => {
      if (holder.anchored) await Promise.race([holder.released, this.#pause(0.8 * behindMs)]);
    });
  }

  async #write(client: pg.Client, writer: number): Promise<void> {
    while (!this.#over.signal.aborted) {
      // A burst is more than the window holds.
      const burst = writer === 0 && this.#random() < 0.02;
      await write(client, {
        events: burst ? 200 : 1 + Math.floor(this.#random() * 3),
        ending: this.#random() < 0.15 ? 'rollback' : 'commit',
        synchronousCommit: this.#random() < 0.3 ? 'off' : 'local',
      });
      await this.#pause(this.#random() * 24);
    }
  }

  async #writeHeld(client: pg.Client, holder: CommitHolder): Promise<void> {
    while (!this.#over.signal.aborted) {
      await holder.commit(client, 1 + Math.floor(this.#random() * 2));
      await this.#pause(this.#random() * 10);
    }
  }

  async #hold(holder: CommitHolder): Promise<void> {
    for (let nth = 0; !this.#over.signal.aborted; nth += 1) {
      const held = await holder.hold({ anchored: nth % 2 === 0, signal: this.#over.signal });
      if (held) await this.#pause(60 + this.#random() * 120);
      await holder.release();
      await this.#pause(this.#random() * 60);
    }
  }

  async #pauseAndResume(
    nth: number,
    { operator, relay }: { readonly operator: pg.Client; readonly relay: Relay },
  ): Promise<void> {
    const { signal } = this.#over;
    const sink = pausedSinks[nth] as string;
    const set = async (value: 'now()' | 'null'): Promise<void> => {
      await operator.query(
        `update event_runtime.relay_checkpoint set paused_at = ${value} where sink = '${sink}'`,
      );
    };
    const is = async (mode: string): Promise<void> => {
      const now = (): string | undefined => relay.status.find((each) => each.sink === sink)?.mode;
      while (!signal.aborted && now() !== mode) await this.#pause(2);
    };
    while (!signal.aborted) {
      await is('live');
      await this.#pause(this.#random() * 40);
      await set('now()');
      await is('paused');
      await this.#pause(this.#random() * 20);
      await set('null');
    }
  }

  async #enough(relay: Relay): Promise<void> {
    const { joins, onProgress } = this.#options;
    // Every way to leave has to have been gone.
    for (let told = 0; this.#record.joins < joins || this.#record.reasons < 3; ) {
      if (relay.state !== 'running') throw new Error(`the relay is ${relay.state}`);
      if (this.#record.joins >= told + 100) {
        told = this.#record.joins;
        onProgress?.(`${told} joins of ${joins}`);
      }
      await this.#pause(20);
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = await this.#fixture.database.connect();
    await client.query("set synchronous_commit = 'local'");
    return client;
  }

  /** Ends early with the run. */
  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#over.signal }).catch(() => undefined);
  }
}
