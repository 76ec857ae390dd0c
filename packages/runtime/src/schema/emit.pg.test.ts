import { randomInt } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createMigratedDatabase, type MigratedDatabase } from '../testing/migrated-database.ts';

interface Emitted {
  readonly event_id: string;
  readonly duplicate: boolean;
}

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let database: MigratedDatabase;
  let client: pg.Client;
  let observer: pg.Client;
  beforeAll(async () => {
    database = await createMigratedDatabase(inject('postgres')[major]);
    client = await database.connect();
    observer = await database.connect();
    // Everything below is emitted as a producer would: with no other right.
    await client.query('set role event_runtime_producer');
  });
  afterAll(() => database[Symbol.asyncDispose]());

  const emit = async (call: string, values: readonly unknown[] = []): Promise<Emitted> =>
    (await client.query<Emitted>(`select event_id, duplicate from event_runtime.emit(${call})`, [...values]))
      .rows[0] as Emitted;
  const row = async (eventId: string): Promise<Record<string, unknown>> =>
    (
      await observer.query(
        `select seq, tx_id::text, tenant_id, ecosystem, event_type, event_version, entity_key, idempotency_key,
                correlation_id, causation_id, source_service, traceparent, headers::text, payload::text,
                recorded_at, clock_timestamp() - recorded_at < interval '1 minute' as recent
           from event_runtime.outbox where event_id = $1`,
        [eventId],
      )
    ).rows[0];
  const failure = async (call: string, values: readonly unknown[] = []): Promise<string> => {
    const error = await client.query(`select * from event_runtime.${call}`, [...values]).then(
      () => undefined,
      (cause: unknown) => cause as pg.DatabaseError,
    );
    // What was refused has a hint, and begins with the code.
    if (error?.hint === undefined) throw new Error(`not refused by us: ${call}: ${error?.message}`);
    return `${error.code} ${error.message}`;
  };

  test('every argument lands in its column; what is left out is null or a default', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const full = await emit(
      "'claim.approved', '{\"a\":1}', 't1', 'claim-1', 'ofb', 3, 'key-1', 'corr', 'cause', 'claims', $1, '{\"x1\":\"y\"}', true",
      [traceparent],
    );
    expect(full.duplicate).toBe(false);
    expect(full.event_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(await row(full.event_id)).toMatchObject({
      tenant_id: 't1',
      ecosystem: 'ofb',
      event_type: 'claim.approved',
      event_version: 3,
      entity_key: 'claim-1',
      idempotency_key: 'key-1',
      correlation_id: 'corr',
      causation_id: 'cause',
      source_service: 'claims',
      traceparent,
      headers: '{"x1":"y"}',
      payload: '{"a":1}',
      recent: true,
    });
    const bare = await emit("'e', '1', tenant_id => 't1', event_version => null");
    expect(await row(bare.event_id)).toMatchObject({
      ecosystem: null,
      event_version: 1,
      entity_key: null,
      idempotency_key: null,
      headers: null,
    });
  });

  test('an event id carries the time it was made at', async () => {
    const before = Date.now();
    const { event_id } = await emit("'e', '1', 't1'");
    const made = Number.parseInt(event_id.replaceAll('-', '').slice(0, 12), 16);
    expect(made).toBeGreaterThanOrEqual(before - 1_000);
    expect(made).toBeLessThanOrEqual(Date.now() + 1_000);
  });

  test("tx_id is the caller's transaction, in a savepoint too, and goes with it", async () => {
    await client.query('begin');
    const current = (await client.query<{ tx: string }>('select pg_current_xact_id()::text as tx')).rows[0]
      ?.tx;
    const outer = await emit("'e', '1', 't1'");
    await client.query('savepoint s');
    const undone = await emit("'e', '1', 't1'");
    await client.query('rollback to s');
    const inner = await emit("'e', '1', 't1', idempotency_key => 'in a savepoint'");
    const many = await client.query<Emitted>(
      "select event_id from event_runtime.emit_many(array['e'], array['1']::json[], array['t1'])",
    );
    expect(await row(outer.event_id)).toBeUndefined();
    await client.query('commit');
    for (const id of [outer.event_id, inner.event_id, many.rows[0]?.event_id ?? '']) {
      expect((await row(id)).tx_id).toBe(current);
    }
    expect(await row(undone.event_id)).toBeUndefined();
  });

  test('recorded_at is drawn after the transaction got its id, not when it began', async () => {
    await client.query('begin');
    await client.query('select pg_sleep(0.05)');
    const plain = await emit("'e', '1', 't1'");
    const keyed = await emit("'e', '1', 't1', idempotency_key => 'clock'");
    const began = (await client.query<{ now: Date }>('select now() as now')).rows[0]?.now as Date;
    await client.query('commit');
    for (const { event_id } of [plain, keyed]) {
      const { recorded_at } = await row(event_id);
      expect((recorded_at as Date).getTime() - began.getTime()).toBeGreaterThanOrEqual(50);
    }
    const key = await observer.query(
      `select k.recorded_at = o.recorded_at as same
         from event_runtime.outbox_key k join event_runtime.outbox o using (event_id)
        where k.idempotency_key = 'clock'`,
    );
    expect(key.rows).toEqual([{ same: true }]);
  });

  test('the tenant comes from the argument, or else from the transaction, and the two may not differ', async () => {
    await client.query('begin');
    await client.query("select set_config('event_runtime.tenant', 'from-guc', true)");
    expect(await row((await emit("'e', '1'")).event_id)).toBeUndefined();
    const own = await emit("'e', '1', tenant_id => 'from-guc'");
    const many = await client.query<Emitted>(
      "select event_id from event_runtime.emit_many(array['e','e'], array['1','2']::json[], array[null,'from-guc'])",
    );
    await client.query('commit');
    for (const id of [own.event_id, ...many.rows.map((event) => event.event_id)]) {
      expect((await row(id)).tenant_id).toBe('from-guc');
    }
    await client.query("set event_runtime.tenant = 't1'");
    expect(await failure("emit('e', '1', 't2')")).toMatch(/^42501 ER2006 /);
    expect(await failure("emit_many(array['e','e'], array['1','1']::json[], array['t1','t2'])")).toMatch(
      /^42501 ER2006 event 2: /,
    );
    await client.query("set event_runtime.tenant = ''");
    expect(await failure("emit('e', '1')")).toMatch(/^22004 ER2004 /);
    await client.query('reset event_runtime.tenant');
    expect(await failure("emit('e', '1')")).toMatch(/^22004 ER2004 /);
    expect(await failure("emit('e', '1', '')")).toMatch(/^22004 ER2004 /);
    expect(await failure("emit_many(array['e'], array['1']::json[])")).toMatch(/^22004 ER2004 event 1: /);
  });

  test.each([
    ["emit(null, '1', 't')", 'ER2008 event_type is missing'],
    ["emit('', '1', 't')", 'ER2008 event_type is missing'],
    ["emit(repeat('e', 201), '1', 't')", 'ER2008 event_type is longer'],
    ["emit(E'a\\nb', '1', 't')", 'ER2008 event_type has a control character'],
    ["emit(E'a\\u0085b', '1', 't')", 'ER2008 event_type has a control character'],
    ["emit('e', null, 't')", 'ER2008 payload is missing'],
    ["emit('e', '1', repeat('t', 201))", 'ER2008 tenant_id'],
    ["emit('e', '1', 't', entity_key => '')", 'ER2008 entity_key'],
    ["emit('e', '1', 't', entity_key => repeat('k', 1001))", 'ER2008 entity_key'],
    ["emit('e', '1', 't', ecosystem => '')", 'ER2008 ecosystem'],
    ["emit('e', '1', 't', event_version => 0)", 'ER2008 event_version'],
    ["emit('e', '1', 't', idempotency_key => repeat('k', 501))", 'ER2008 idempotency_key'],
    ["emit('e', '1', 't', idempotency_key => '')", 'ER2008 idempotency_key'],
    ["emit('e', '1', 't', idempotency_key => repeat(U&'\\6F22', 500) || 'k')", 'ER2008 idempotency_key'],
    ["emit('e', '1', 't', entity_key => repeat(U&'\\6F22', 667))", 'ER2008 entity_key'],
    ["emit('e', '1', 't', correlation_id => '')", 'ER2008 correlation_id'],
    ["emit('e', '1', 't', causation_id => repeat('k', 201))", 'ER2008 causation_id'],
    ["emit('e', '1', 't', source_service => '')", 'ER2008 source_service'],
    [
      "emit('e', '1', 't', traceparent => E'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\\nx: y')",
      'ER2008 traceparent',
    ],
    ["emit('e', '1', 't', headers => '[]')", 'ER2008 headers must be'],
    ["emit('e', '1', 't', headers => '{\"A\":\"b\"}')", 'ER2008 a name in headers'],
    ["emit('e', '1', 't', headers => '{\"a\":1}')", 'ER2008 a value in headers'],
    [
      "emit('e', '1', 't', headers => json_build_object('a', repeat('x', 16384)))",
      'ER2008 headers are larger',
    ],
    ["emit('e', '1', 't', lock_entity => true)", 'ER2008 lock_entity needs an entity_key'],
    ["emit_many(null, array['1']::json[], array['t'])", 'ER2008 event_types or payloads is missing'],
    [
      "emit_many(array['e','e'], array['1']::json[], array['t'])",
      'ER2008 payloads has 1 elements; there are 2',
    ],
    [
      "emit_many(array['e','e','e'], array['1','1','1']::json[], array['t','t'])",
      'ER2008 tenant_ids has 2 elements; there are 3 events',
    ],
    [
      "emit_many(array['e','e'], array['1','1']::json[], array['t'], idempotency_keys => array[array['k']])",
      'ER2008 idempotency_keys is no array of one dimension',
    ],
    [
      "emit_many(array['e','','e'], array['1','1','1']::json[], array['t'])",
      'ER2008 event 2: event_type is missing',
    ],
    [
      "emit_many(array['e','e'], array['1','1']::json[], array['t'], array['k',null], lock_entity => true)",
      'ER2008 event 2: lock_entity needs an entity_key',
    ],
  ])('%s is refused: %s', async (call, message) => {
    expect(await failure(call)).toContain(`22023 ${message}`);
  });

  test('the longest keys that are taken fit into every index that they come into', async () => {
    // Of four bytes each and not to be compressed, which is the longest that an index row can get.
    const letters = (count: number): string =>
      Array.from({ length: count }, () => String.fromCodePoint(0x2_0000 + randomInt(40_000))).join('');
    const [tenant, entityKey] = [letters(200), letters(500)];
    const told = await emit("'e', '1', $1, entity_key => $2, idempotency_key => $3, correlation_id => $4", [
      tenant,
      entityKey,
      letters(375),
      letters(200),
    ]);
    const delivery = await observer.query(
      `with application as (
         insert into event_runtime.webhook_application (tenant_id, name) values ($2, 'a') returning application_id
       ), endpoint as (
         insert into event_runtime.webhook_endpoint (tenant_id, application_id, url, secret)
         select $2, application_id, 'https://example.com', '' from application returning endpoint_id
       )
       select endpoint_id, $1::uuid as event_id from endpoint`,
      [told.event_id, tenant],
    );
    const { endpoint_id, event_id } = delivery.rows[0] as Record<string, string>;
    const queued = await observer.query(
      `insert into event_runtime.webhook_delivery
         (tenant_id, endpoint_id, event_id, event_recorded_at, seq, entity_key)
       select tenant_id, $1, event_id, recorded_at, seq, entity_key
         from event_runtime.outbox where event_id = $2`,
      [endpoint_id, event_id],
    );
    expect(queued.rowCount).toBe(1);
  });

  test('a payload of 32 MiB is taken, one byte more is not', async () => {
    const limit = 32 * 1024 * 1024;
    const { event_id } = await emit(`'e', ('"' || repeat('x', ${limit - 2}) || '"')::json, 't'`);
    const kept = await observer.query(
      'select octet_length(payload::text) as size from event_runtime.outbox where event_id = $1',
      [event_id],
    );
    expect(kept.rows[0]?.size).toBe(limit);
    expect(await failure(`emit('e', ('"' || repeat('x', ${limit - 1}) || '"')::json, 't')`)).toMatch(
      /^54000 ER2005 /,
    );
  });

  test('payloads are kept byte for byte, from emit and from emit_many', async () => {
    const payloads = [
      '1.0',
      '-0',
      '1E400',
      '9007199254740993',
      '{"a":1,"a":2,"b":{"c":1,"c":1}}',
      ' \n\t{ "b" :1 ,\r\n "a": [ ] } \n ',
      '"\\u0000\\u0001\\ud834\\udd1e\\ud800"',
      '"𝄞 é é \u2028 \\"\\\\\\/"',
      'null',
      `{"big":"${'aé𝄞 \\n'.repeat(500_000)}"}`,
    ];
    expect(Buffer.byteLength(payloads.at(-1) ?? '')).toBeGreaterThan(5_000_000);
    for (const payload of payloads) {
      const { event_id } = await emit("'bytes', $1::json, 't1'", [payload]);
      expect((await row(event_id)).payload === payload).toBe(true);
    }
    const many = await client.query<Emitted>(
      "select event_id from event_runtime.emit_many(array_fill('bytes'::text, array[$2::int]), $1::text[]::json[], array['t1']) order by ordinal",
      [payloads, payloads.length],
    );
    for (const [index, { event_id }] of many.rows.entries()) {
      expect((await row(event_id)).payload === payloads[index]).toBe(true);
    }
  });

  test('emit_many: in the order of the input, each with its own arguments, single values for all', async () => {
    const size = 1_000;
    const numbers = Array.from({ length: size }, (_, index) => String(index));
    const { rows } = await client.query<Emitted & { ordinal: number }>(
      `select ordinal, event_id, duplicate
         from event_runtime.emit_many($1, $2::text[]::json[], array['many'], $3, array['opin'], array[2],
                correlation_ids => $4, headers => array['{"a":"b"}']::json[], lock_entity => true)`,
      [
        numbers.map((n) => `type.${n}`),
        numbers.map((n) => `{"n":${n}.0}`),
        numbers.map((n) => `entity-${Number(n) % 7}`),
        numbers.map((n) => (n.endsWith('3') ? null : `corr-${n}`)),
      ],
    );
    expect(rows.map((event) => event.ordinal)).toEqual(numbers.map((n) => Number(n) + 1));
    expect(rows.every((event) => !event.duplicate)).toBe(true);
    const kept = await observer.query(
      `select event_id, event_type, payload::text, entity_key, correlation_id, ecosystem, event_version,
              headers::text, seq - first_value(seq) over (order by seq) as place
         from event_runtime.outbox where tenant_id = 'many' order by seq`,
    );
    expect(kept.rows).toEqual(
      rows.map((event, index) => ({
        event_id: event.event_id,
        event_type: `type.${index}`,
        payload: `{"n":${index}.0}`,
        entity_key: `entity-${index % 7}`,
        correlation_id: index % 10 === 3 ? null : `corr-${index}`,
        ecosystem: 'opin',
        event_version: 2,
        headers: '{"a":"b"}',
        place: String(index),
      })),
    );
  });

  test('emit_many of nothing is nothing', async () => {
    const { rows } = await client.query(
      "select ordinal from event_runtime.emit_many('{}', '{}'::json[], array['t'])",
    );
    expect(rows).toEqual([]);
  });

  test('lock_entity: the second writer of an entity waits for the first, one of another does not', async () => {
    const other = await database.connect();
    await client.query('begin');
    await emit("'e', '1', 'lock', 'k', lock_entity => true");
    await other.query("set lock_timeout = '50ms'");
    const blocked = other.query(
      "select 1 from event_runtime.emit('e', '1', 'lock', 'k', lock_entity => true)",
    );
    await expect(blocked).rejects.toMatchObject({ code: '55P03' });
    const many = other.query(
      "select 1 from event_runtime.emit_many(array['e','e'], array['1','1']::json[], array['lock'], array['j','k'], lock_entity => true)",
    );
    await expect(many).rejects.toMatchObject({ code: '55P03' });
    await other.query("select 1 from event_runtime.emit('e', '1', 'lock', 'j', lock_entity => true)");
    await other.query("select 1 from event_runtime.emit('e', '1', 'lo', 'ckk', lock_entity => true)");
    await other.query("select 1 from event_runtime.emit('e', '1', 'lock', 'k')");
    await client.query('commit');
  });

  test('the lock comes before seq: the order of seq is the order of commits', async () => {
    const writers = await Promise.all(Array.from({ length: 4 }, () => database.connect()));
    await observer.query('create table committed (place bigint generated always as identity, event_id uuid)');
    await Promise.all(
      writers.map(async (writer) => {
        for (let index = 0; index < 25; index += 1) {
          await writer.query('begin');
          const { rows } = await writer.query<Emitted>(
            "select event_id from event_runtime.emit('e', '1', 'order', 'k', lock_entity => true)",
          );
          // Still under the entity's lock, so the place is the place in the order of commits.
          await writer.query('insert into committed (event_id) values ($1)', [rows[0]?.event_id]);
          await writer.query('commit');
        }
      }),
    );
    const { rows } = await observer.query(
      `select count(*)::int as reordered
         from (select o.seq, lag(o.seq) over (order by c.place) as before
                 from committed c join event_runtime.outbox o using (event_id)) pairs
        where pairs.seq < pairs.before`,
    );
    expect(rows).toEqual([{ reordered: 0 }]);
  });

  test("a caller's search_path and objects of the same name change nothing", async () => {
    const attacker = await database.connect();
    await attacker.query(
      `create schema evil; grant usage on schema evil to public;
       create function evil.clock_timestamp() returns timestamptz language sql as 'select null::timestamptz';
       create function evil.length(text) returns int language sql as 'select 1 / 0';
       create function pg_temp.cardinality(anyarray) returns int language sql as 'select 1 / 0';
       create temp table outbox (event_id uuid);
       set search_path = evil, pg_temp, pg_catalog, event_runtime`,
    );
    const { rows } = await attacker.query<Emitted>(
      "select event_id from event_runtime.emit('e', '1', 'path') union all select event_id from event_runtime.emit_many(array['e'], array['1']::json[], array['path'])",
    );
    expect(await row(rows[0]?.event_id ?? '')).toMatchObject({ tenant_id: 'path', recent: true });
    expect(await row(rows[1]?.event_id ?? '')).toMatchObject({ tenant_id: 'path', recent: true });
  });
});
