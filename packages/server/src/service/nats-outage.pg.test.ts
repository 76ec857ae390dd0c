import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  countNatsMessages,
  createMigratedDatabase,
  freePort,
  NatsServer,
  readNatsStream,
} from '@event-runtime/runtime/testing';
import { FaultProxy } from '@event-runtime/simulators';
import type { ClientBase } from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { Program } from '../program.suite.ts';

const program = inject('natsServer');
/** So long is nats-server gone, twice. The long version: EVENT_RUNTIME_OUTAGE_SECONDS=60. */
const outageMs = Number(process.env['EVENT_RUNTIME_OUTAGE_SECONDS'] ?? 1) * 1_000;

/** One writer, so that the order of its events is that of their commits. */
class Writer {
  readonly written: Array<{ readonly id: string; readonly entity: string }> = [];
  readonly #over = new AbortController();
  readonly #writing: Promise<void>;

  constructor(sql: Pick<ClientBase, 'query'>) {
    this.#writing = this.#write(sql);
    this.#writing.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#over.abort();
    await this.#writing;
  }

  async #write(sql: Pick<ClientBase, 'query'>): Promise<void> {
    while (!this.#over.signal.aborted) {
      const entity = `k${this.written.length % 7}`;
      const emit = `select event_id as id from event_runtime.emit('a', '{}', tenant_id => 'acme', entity_key => $1)`;
      const { rows } = await sql.query<{ id: string }>(emit, [entity]);
      this.written.push({ id: rows[0]?.id ?? '', entity });
      await sleep(10);
    }
  }
}

function byEntity(
  events: ReadonlyArray<{ readonly id: string; readonly entity: string }>,
): Map<string, string[]> {
  const entities = new Map<string, string[]>();
  for (const { id, entity } of events) entities.set(entity, [...(entities.get(entity) ?? []), id]);
  return entities;
}

describe.skipIf(program === undefined)('while events are written [needs nats-server]', () => {
  test('nats-server gone, back at another port, the relay killed: all of it in the stream, once, in order', {
    timeout: 300_000 + 4 * outageMs,
  }, async () => {
    await using database = await createMigratedDatabase(inject('postgres')['18']);
    await using stack = new AsyncDisposableStack();
    const cwd = await mkdtemp(join(tmpdir(), 'event-runtime-outage-'));
    stack.defer(async () => await rm(cwd, { recursive: true }));
    const server = stack.use(await NatsServer.start({ program: program! }));
    const proxy = stack.use(await FaultProxy.start({ target: new URL(server.url) }));
    const configuration = {
      databaseUrl: 'env:DATABASE_URL',
      roles: ['relay'],
      sinks: [
        {
          ...{ type: 'nats', name: 'nats', stream: { name: 'EVENTS' } },
          servers: [`nats://localhost:${proxy.port}`],
        },
      ],
      relay: { name: 'outage', unboundedWal: 'warn', leaseMs: '1s' },
      http: { port: 0 },
    };
    await writeFile(join(cwd, 'event-runtime.config.json'), JSON.stringify(configuration));
    const start = (): Program =>
      stack.use(new Program(['start'], { env: { DATABASE_URL: database.url }, cwd }));
    const has = async (count: number): Promise<void> => {
      while ((await countNatsMessages([server.url], 'EVENTS')) < count) await sleep(20);
    };
    const first = start();
    await first.logs('service.started');
    const writer = new Writer(await database.connect());
    await has(50);

    await server.kill();
    await sleep(outageMs);
    await server.resume();
    await has(writer.written.length);

    await server.kill();
    await sleep(outageMs);
    await server.resume({ port: await freePort() });
    proxy.retarget(new URL(server.url));
    await has(writer.written.length);
    expect(first.logged('relay.sink.retry').length).toBeGreaterThan(0);

    first.kill('SIGKILL');
    const second = start();
    // What is written from here on is for the second one: the first may have had all until it was killed.
    await second.logs('service.started');
    await has(writer.written.length + 10);
    await writer.end();
    await has(writer.written.length);
    const received = (await readNatsStream([server.url], 'EVENTS')).map(({ attributes }) => ({
      id: attributes['id'] ?? '',
      entity: attributes['entitykey'] ?? '',
    }));
    expect(received).toHaveLength(writer.written.length);
    expect(byEntity(received)).toEqual(byEntity(writer.written));
    second.kill('SIGTERM');
    expect(await second.exit()).toBe(0);
  });
});
