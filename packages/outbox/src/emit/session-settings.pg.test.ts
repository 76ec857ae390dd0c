import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { createProducerDatabase } from '../../test/producer-database.ts';
import { defineCatalog } from '../catalog/define-catalog.ts';
import { defineEvent } from '../catalog/define-event.ts';
import { createOutbox } from './create-outbox.ts';

const event = defineEvent('thing.done', {
  schema: { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } },
});
const outbox = createOutbox({ catalog: defineCatalog({ source: 'settings', events: [event] }) });

/** What a session may have, and what changes how texts, arrays and times are read and written. */
const settings = `set array_nulls = off; set standard_conforming_strings = off; set client_min_messages = error;
  set datestyle = 'German'; set timezone = 'Asia/Kathmandu'; set search_path = ''; set bytea_output = 'escape';
  set quote_all_identifiers = on; set transform_null_equals = on; set plan_cache_mode = 'force_generic_plan'`;

test.each(['15', '18'] as const)(
  'whatever the session is set to: each event as given, and what is left out is null, PostgreSQL %s',
  async (major) => {
    await using database = await createProducerDatabase(inject('postgres')[major]);
    const client = new pg.Client({ connectionString: database.producerUrl });
    await client.connect();
    try {
      await client.query(settings);
      await client.query('begin');
      const own = { idempotencyKey: 'NULL', correlationId: '\\"', headers: { a: "\\'" } };
      const results = await outbox.emitMany(
        client,
        [
          { event, data: { n: "\\'1" } },
          { event, data: 2, options: own },
          { event, data: 3 },
          { event, data: 4, options: { ...own, idempotencyKey: 'null', tenant: 'other' } },
        ],
        { tenant: 'acme' },
      );
      await outbox.emit(client, event, "\\'", { tenant: 'acme', ...own, idempotencyKey: '\\' });
      await client.query('commit');
      expect(results.map(({ duplicate }) => duplicate)).toEqual([false, false, false, false]);
    } finally {
      await client.end();
    }
    const { rows } = await database.observer.query({
      rowMode: 'array',
      text: `select tenant_id, idempotency_key, correlation_id, headers::text, causation_id, payload::text
               from event_runtime.outbox order by seq`,
    });
    const headers = JSON.stringify({ a: "\\'" });
    expect(rows).toEqual([
      ['acme', null, null, null, null, JSON.stringify({ n: "\\'1" })],
      ['acme', 'NULL', '\\"', headers, null, '2'],
      ['acme', null, null, null, null, '3'],
      ['other', 'null', '\\"', headers, null, '4'],
      ['acme', '\\', '\\"', headers, null, JSON.stringify("\\'")],
    ]);
  },
);

test('row_security = off is refused, with what to do about it', async () => {
  await using database = await createProducerDatabase(inject('postgres')['18']);
  const client = new pg.Client({ connectionString: database.producerUrl });
  await client.connect();
  try {
    await client.query('set row_security = off; begin');
    const emitted = outbox.emit(client, event, 1, { tenant: 'acme' });
    await expect(emitted).rejects.toMatchObject({
      code: 'ER2011',
      message: expect.stringMatching(/row-level security.*row_security = on/),
    });
  } finally {
    await client.end();
  }
});
