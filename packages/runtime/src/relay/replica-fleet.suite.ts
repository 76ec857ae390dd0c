import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type pg from 'pg';
import { eventually } from '../replication/stream-fixture.suite.ts';
import { type Arrival, createLedger, judge, readLedger, type Verdict, write } from './ledger.suite.ts';
import { RelayFixture } from './relay-fixture.suite.ts';
import type { ReplicaSettings } from './replica-process.suite.ts';

const replicaModule = new URL('./replica-process.suite.ts', import.meta.url).href;

/** An event that a replica's sink was given. */
export interface Delivery extends Arrival {
  readonly replica: number;
  readonly sink: string;
  /** What the sink was given it from. */
  readonly from: string;
  /** Nanoseconds of the monotonic clock. */
  readonly at: bigint;
}

/** A relay in a process of its own. */
export interface ReplicaProcess {
  readonly number: number;
  readonly child: ChildProcess;
  readonly logs: ReadonlyArray<Readonly<Record<string, unknown>>>;
  /** In their order: `delivery`, and what the log calls what happened. */
  readonly told: readonly string[];
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Replicas of one relay on one database, writers, and what the replicas' sinks were given. */
export class ReplicaFleet implements AsyncDisposable {
  readonly fixture: RelayFixture;
  readonly deliveries: Delivery[] = [];
  readonly replicas: ReplicaProcess[] = [];
  readonly #over = new AbortController();
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(fixture: RelayFixture) {
    this.fixture = fixture;
  }

  static async create(clusterUrl: string): Promise<ReplicaFleet> {
    const fixture = await RelayFixture.create(clusterUrl);
    await createLedger(fixture.sql);
    await fixture.sql.query(
      `with application as (
         insert into event_runtime.webhook_application (tenant_id, name) values ('acme', 'acme')
         returning application_id
       ), endpoint as (
         insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
         select 'acme', application_id, 'https://example.com', '' from application returning endpoint_id
       )
       insert into event_runtime.webhook_subscriptions (endpoint_id, tenant_id, event_type)
       select endpoint_id, 'acme', '*' from endpoint`,
    );
    return new ReplicaFleet(fixture);
  }

  /** Starts a replica; resolves when it says something. */
  async start(settings: Partial<ReplicaSettings> = {}): Promise<ReplicaProcess> {
    const { fixture } = this;
    const all: ReplicaSettings = {
      connectionString: fixture.url,
      name: fixture.slot,
      consumers: ['consumer'],
      webhooks: fixture.database.url,
      checkpointMs: 100,
      ...settings,
    };
    const script = `const { runReplicaProcess } = await import(${JSON.stringify(replicaModule)});
      await runReplicaProcess(${JSON.stringify(JSON.stringify(all))});`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const logs: Array<Readonly<Record<string, unknown>>> = [];
    const told: string[] = [];
    const number = this.replicas.length;
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      if (line.startsWith('L ')) {
        const said = JSON.parse(line.slice(2)) as Record<string, unknown>;
        logs.push(said);
        told.push(String(said['event']));
        return;
      }
      told.push('delivery');
      const [, at, sink, from, eventId, entity] = line.split(' ');
      this.deliveries.push({
        replica: number,
        sink: sink ?? '',
        from: from ?? '',
        at: BigInt(at ?? 0),
        eventId: eventId ?? '',
        entity: entity ?? null,
      });
    });
    // It has ended, and all that it said is read.
    const closed = once(child, 'close');
    const end = async (signal: NodeJS.Signals): Promise<void> => {
      child.kill(signal);
      await closed;
    };
    const stop = async (): Promise<void> => await end('SIGTERM');
    const kill = async (): Promise<void> => await end('SIGKILL');
    const replica = { number, child, logs, told, stop, kill };
    this.replicas.push(replica);
    await this.logged(
      replica,
      (line) => line['event'] === 'relay.started' || line['event'] === 'relay.standby',
    );
    return replica;
  }

  /** Resolves with the first log line that fits. */
  async logged(
    replica: ReplicaProcess,
    fits: (line: Readonly<Record<string, unknown>>) => boolean,
  ): Promise<Readonly<Record<string, unknown>>> {
    const found = await eventually(
      async () => replica.logs.find(fits),
      (line) => line !== undefined || replica.child.exitCode !== null,
    ).catch((cause: unknown) => {
      const told = replica.logs.map((line) => JSON.stringify(line)).join('\n');
      throw new Error(`replica ${replica.number} never said it, but:\n${told}`, { cause });
    });
    if (found === undefined) throw new Error(`replica ${replica.number} has ended`);
    return found;
  }

  /** From now on there is load: transactions of so many connections, one after the other. */
  async load(connections = 3): Promise<void> {
    const clients = await Promise.all(
      Array.from({ length: connections }, () => this.fixture.database.connect()),
    );
    this.#writing = Promise.all(clients.map(async (client) => await this.#write(client)));
    this.#writing.catch(() => undefined);
  }

  async #write(client: pg.Client): Promise<void> {
    for (let nth = 0; !this.#over.signal.aborted; nth += 1) {
      await write(client, { events: 1 + (nth % 3), ending: nth % 7 === 0 ? 'rollback' : 'commit' });
      await client.query('select pg_sleep(0.01)');
    }
  }

  /** Resolves with the first delivery of a replica that was made after a moment. */
  async delivered(by: ReplicaProcess, after = 0n): Promise<Delivery> {
    const found = await eventually(
      async () => this.deliveries.find(({ replica, at }) => replica === by.number && at > after),
      (delivery) => delivery !== undefined,
    );
    return found as Delivery;
  }

  /**
   * Ends the load, waits until all is delivered, or the relay says so, and judges `consumer` and `webhooks`.
   * @param arrivals what `consumer` was given, where that was in this process
   */
  async verdicts(
    arrivals?: readonly Arrival[],
  ): Promise<{ readonly consumer: Verdict; readonly webhooks: Verdict }> {
    this.#over.abort();
    await this.#writing;
    const came = async (): Promise<boolean> => {
      const ledger = await readLedger(this.fixture.sql);
      const [fanned] = await this.fixture.rows<{ count: number }>(
        'select count(*)::int from event_runtime.webhook_delivery',
      );
      const seen = new Set((arrivals ?? this.deliveries).map(({ eventId }) => eventId));
      return (fanned?.count ?? 0) >= ledger.length && ledger.every(({ eventId }) => seen.has(eventId));
    };
    await eventually(
      async () =>
        (await came())
          ? []
          : await this.fixture.rows(
              `select c.sink, c.shard, c.mode, c.snapshot::text, count(*)::int as behind, min(l.tx_id)::text as first
             from ledger l join event_runtime.relay_checkpoint c on not pg_visible_in_snapshot(l.tx_id, c.snapshot)
            group by c.relay, c.sink, c.shard`,
            ),
      (behind) => behind.length === 0,
    );
    await Promise.all(this.replicas.map((replica) => replica.kill()));
    const ledger = await readLedger(this.fixture.sql);
    const fanned = await this.fixture.rows<{ event_id: string; entity_key: string }>(
      'select event_id::text, entity_key from event_runtime.webhook_delivery order by delivery_id',
    );
    return {
      consumer: judge(ledger, arrivals ?? this.deliveries.toSorted((a, b) => (a.at < b.at ? -1 : 1))),
      webhooks: judge(
        ledger,
        fanned.map((row) => ({ eventId: row.event_id, entity: row.entity_key })),
      ),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.allSettled([this.#writing]);
    await Promise.all(this.replicas.map((replica) => replica.kill()));
    await this.fixture[Symbol.asyncDispose]();
  }
}
