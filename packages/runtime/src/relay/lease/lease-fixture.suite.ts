import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type pg from 'pg';
import { createMigratedDatabase, fewDays, type MigratedDatabase } from '../../testing/migrated-database.ts';
import {
  parseWitnessed,
  Replica,
  type ReplicaSettings,
  type Witnessed,
  type Work,
} from './lease-replica.suite.ts';

const replicaModule = new URL('./lease-replica.suite.ts', import.meta.url).href;

/** A replica in a process of its own. */
export interface ReplicaProcess {
  readonly child: ChildProcess;
  /** UUID; known when it has said something. */
  readonly name: () => string;
}

/** Replicas of one relay on one database, in this process and in others, and what they have witnessed. */
export class LeaseFixture implements AsyncDisposable {
  readonly database: MigratedDatabase;
  readonly sql: pg.Client;
  readonly witnessed: Witnessed[] = [];
  readonly #replicas: Replica[] = [];
  readonly #children: ChildProcess[] = [];
  #waiting: Array<() => void> = [];

  private constructor(database: MigratedDatabase, sql: pg.Client) {
    this.database = database;
    this.sql = sql;
  }

  static async create(clusterUrl: string): Promise<LeaseFixture> {
    const database = await createMigratedDatabase(clusterUrl, fewDays);
    return new LeaseFixture(database, await database.connect());
  }

  replica(settings: Omit<ReplicaSettings, 'url'> & { readonly url?: string; readonly work?: Work }): Replica {
    const say = (witnessed: Witnessed): void => this.#say(witnessed);
    const replica = new Replica({ url: this.database.url, ...settings, say });
    this.#replicas.push(replica);
    return replica;
  }

  /** Starts a replica as a process. */
  process(settings: Omit<ReplicaSettings, 'url'>): ReplicaProcess {
    const script = `const { runReplica } = await import(${JSON.stringify(replicaModule)});
      await runReplica(${JSON.stringify(JSON.stringify({ url: this.database.url, ...settings }))});`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    let name = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      const witnessed = parseWitnessed(line);
      name = witnessed.replica;
      this.#say(witnessed);
    });
    return { child, name: () => name };
  }

  /** Resolves with the first that fits, of those witnessed already and those to come. */
  async see(fits: (witnessed: Witnessed) => boolean): Promise<Witnessed> {
    let looked = 0;
    return await this.until(() => {
      for (; looked < this.witnessed.length; looked += 1) {
        if (fits(this.witnessed[looked]!)) return this.witnessed[looked];
      }
      return undefined;
    });
  }

  /** Resolves with what it gives; asked again after everything that is witnessed. */
  async until<T>(ask: () => T | undefined): Promise<T> {
    for (;;) {
      const answer = ask();
      if (answer !== undefined) return answer;
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  count(kind: Witnessed['kind'], replica?: Replica): number {
    return this.witnessed.filter((one) => one.kind === kind && one.replica === (replica?.name ?? one.replica))
      .length;
  }

  /** How many units each replica holds by the database's clock, the fewest first; only those that hold some. */
  async shares(): Promise<readonly number[]> {
    const { rows } = await this.sql.query<{ units: number }>(
      `select count(*)::int as units from event_runtime.relay_lease
        where sink not like '@%' and expires_at > clock_timestamp() group by holder order by 1`,
    );
    return rows.map(({ units }) => units);
  }

  /** No unit had two valid holders at one time, and epochs grew: a lower one was never valid after a higher one. */
  prove(): void {
    const units = new Map<string, Witnessed[]>();
    for (const one of this.witnessed) {
      if (one.kind === 'sample') units.set(one.unit, [...(units.get(one.unit) ?? []), one]);
    }
    for (const samples of units.values()) {
      samples.sort((a, b) => (a.at < b.at ? -1 : 1));
      for (const [index, sample] of samples.entries()) {
        const before = samples[index - 1] ?? sample;
        const told = `${before.replica} ${before.epoch}, then ${sample.replica} ${sample.epoch} of ${sample.unit}`;
        const grew = sample.epoch > before.epoch;
        const same = sample.epoch === before.epoch && sample.replica === before.replica;
        if (!grew && !same) throw new Error(`two valid holders at one time: ${told}`);
      }
    }
    const epochs = this.witnessed.filter(({ kind }) => kind === 'acquired').map(({ epoch }) => epoch);
    if (new Set(epochs).size < epochs.length)
      throw new Error(`an epoch was drawn twice: ${epochs.join(' ')}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    }
    await Promise.all(this.#replicas.map((replica) => replica.stop()));
    await this.database[Symbol.asyncDispose]();
  }

  #say(witnessed: Witnessed): void {
    this.witnessed.push(witnessed);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
