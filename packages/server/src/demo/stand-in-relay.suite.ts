import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Webhook } from 'standardwebhooks';
import { migrate } from '../../../runtime/src/schema/migrator.ts';
import type { DemoSetup, DemoSite } from './demo-setup.ts';
import type { RelayUnderTest } from './relay-under-test.ts';

/** One request of the stand-in. */
export interface StandInRequest {
  readonly eventId: string;
  readonly tenant: string;
  readonly type: string;
  readonly entityKey: string;
  readonly body: string;
  /** Leaves the signature wrong. */
  readonly badlySigned?: boolean;
}

/**
 * How a stand-in goes wrong: turns what is to be sent into what is sent. It is handed the events that
 * are committed and not yet sent, in order; `undefined` means to look again later.
 */
export type Fault = (pending: readonly StandInRequest[]) => readonly StandInRequest[] | undefined;

/**
 * A relay made of few lines, to prove the harness before and beside the real one: it polls the outbox,
 * signs with the library that the receiver verifies with, and reads its slot only to move it.
 */
class StandInRelay implements RelayUnderTest {
  readonly #init: { site: DemoSite; slot: string; fault: Fault; readsSlot: boolean };
  /** Survives a kill, as a table would. */
  readonly #sent = new Set<string>();
  #stop = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(init: { site: DemoSite; slot: string; fault: Fault; readsSlot: boolean }) {
    this.#init = init;
  }

  async start(): Promise<void> {
    this.#stop = new AbortController();
    this.#loop = this.#run(this.#stop.signal);
  }

  async kill(): Promise<boolean> {
    const running = this.#loop !== undefined;
    await this.stop();
    return running;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    this.#loop = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const client = new pg.Client({ connectionString: this.#init.site.databaseUrl });
    await client.connect();
    try {
      while (!signal.aborted) {
        const pending = (await unsent(client)).filter((request) => !this.#sent.has(request.eventId));
        for (const request of this.#init.fault(pending) ?? []) {
          await this.#send(request, signal);
          this.#sent.add(request.eventId);
        }
        if (this.#init.readsSlot) await moveSlot(client, this.#init.slot);
        await sleep(5, undefined, { signal });
      }
    } catch (cause) {
      if (!signal.aborted) throw cause;
    } finally {
      await client.end();
    }
  }

  async #send(request: StandInRequest, signal: AbortSignal): Promise<void> {
    const { destination } = this.#init.site;
    if (destination.type !== 'webhooks') throw new Error(`no stand-in for ${destination.type}`);
    const endpoint = destination.endpoints.find(({ tenant }) => tenant === request.tenant);
    if (endpoint === undefined) throw new Error(`no endpoint of ${request.tenant}`);
    const now = new Date();
    const id = `msg_${request.eventId}`;
    const signature = new Webhook(endpoint.secret).sign(id, now, request.body);
    for (let status = 503; status === 503; ) {
      const response = await fetch(endpoint.url, {
        method: 'POST',
        body: request.body,
        headers: {
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
          'webhook-signature': request.badlySigned === true ? `v1,${'A'.repeat(43)}=` : signature,
          'ce-id': request.eventId,
          'ce-type': encodeURIComponent(request.type),
          'ce-entitykey': encodeURIComponent(request.entityKey),
        },
        signal,
      });
      status = response.status;
    }
  }
}

async function unsent(client: pg.Client): Promise<StandInRequest[]> {
  const { rows } = await client.query<StandInRequest>(`
    select event_id as "eventId", tenant_id as tenant, event_type as type, entity_key as "entityKey",
           payload::text as body
    from event_runtime.outbox order by seq`);
  return rows;
}

async function moveSlot(client: pg.Client, slot: string): Promise<void> {
  await client.query(
    `select count(*) from pg_logical_slot_get_binary_changes(
       $1, null, null, 'proto_version', '1', 'publication_names', 'event_runtime')`,
    [slot],
  );
}

/** The harness's seam on a stand-in. */
export function standInSetup(init: {
  readonly slot: string;
  readonly fault?: Fault;
  readonly readsSlot?: boolean;
}): DemoSetup {
  const { slot, fault = (pending) => pending, readsSlot = true } = init;
  return {
    slot,
    async prepare(site) {
      await migrate({ connectionString: site.databaseUrl });
      const client = new pg.Client({ connectionString: site.databaseUrl });
      await client.connect();
      await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
      await client.end();
    },
    relay: (site) => new StandInRelay({ site, slot, fault, readsSlot }),
  };
}
