import type pg from 'pg';
import type { MigratedDatabase } from '../testing/migrated-database.ts';

/** Emits without a pause, in transactions of their own, until told to stop; a wait of 20 ms is a failure. */
export class Emitter {
  readonly failures: string[] = [];
  readonly emitted: string[] = [];
  readonly #client: pg.Client;
  readonly #done: Promise<void>;
  #stopped = false;
  #next: () => void = () => undefined;

  private constructor(client: pg.Client) {
    this.#client = client;
    // A test that has failed takes the connection away.
    client.on('end', () => {
      this.#stopped = true;
    });
    this.#done = this.#run();
  }

  static async start(shared: MigratedDatabase): Promise<Emitter> {
    const client = await shared.connect();
    await client.query("set lock_timeout = '20ms'; set statement_timeout = '5s'");
    return new Emitter(client);
  }

  /** Waits until `count` more attempts were made, failed or not. */
  async more(count: number): Promise<void> {
    const target = this.emitted.length + this.failures.length + count;
    while (this.emitted.length + this.failures.length < target) {
      if (this.#stopped) throw new Error('the emitter has ended');
      await new Promise<void>((resolve) => {
        this.#next = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    for (let index = 0; !this.#stopped; index += 1) {
      try {
        const { rows } = await this.#client.query<{ event_id: string }>(
          index % 2 === 0
            ? {
                name: 'one',
                text: 'select event_id from event_runtime.emit($1, $2::json, $3, idempotency_key => gen_random_uuid()::text)',
                values: ['tick', String(index), 't1'],
              }
            : {
                name: 'many',
                text: "select event_id from event_runtime.emit_many(array[$1, 'tock'], array[$2::json, '1'::json], array[$3])",
                values: ['tick', String(index), 't1'],
              },
        );
        this.emitted.push(...rows.map((row) => row.event_id));
      } catch (cause) {
        this.failures.push(String(cause));
      }
      this.#next();
    }
  }
}

/** How many of these events the outbox does not show. */
export async function lost(client: pg.Client, ids: readonly string[]): Promise<number> {
  const { rows } = await client.query<{ lost: number }>(
    `select count(*)::int as lost from unnest($1::uuid[]) e(event_id)
      where not exists (select from event_runtime.outbox o where o.event_id = e.event_id)`,
    [ids],
  );
  return rows[0]?.lost ?? Number.NaN;
}
