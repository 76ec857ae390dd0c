import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { createLogger, silentLogger } from '../telemetry/logger.ts';
import { WebhookFixture } from '../webhooks/webhook-fixture.suite.ts';
import { claimAll, endpointOf, kill, letterIds, settled } from './dead-letter-fixture.suite.ts';
import { discardDeadLetters } from './discard.ts';
import { listDeadLetterGroups, listDeadLetters, showDeadLetter } from './list.ts';
import { requestRedrive } from './redrive.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  let client: pg.PoolClient;
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
    client = await fixture.pool.connect();
  });
  afterAll(async () => {
    client.release();
    await fixture[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await fixture.rows('delete from event_runtime.webhook_application');
    await fixture.rows('delete from event_runtime.dead_letter');
  });

  test('like errors make a group, whatever numbers, ids and quotations are in them', async () => {
    const reasons: ReadonlyArray<readonly string[]> = [
      ['order 17 of "Ann" is not known', 'order 4711 of "Bob O\'Hara" is not known'],
      ["no column 'a b' in 10.0.0.1:5432", "no column 'x' in 192.168.77.12:6432"],
      [
        'no 01a1fbfe-d2c6-722a-be7c-00000000002a at 0xDEADBEEF',
        'no 7b9c3f0e-aaaa-4bbb-8ccc-123456789abc at 0x0badcafe',
      ],
      ['the status is 503.', 'the status is 503.'],
      ['the status is 404.', 'the status is 404.'],
      ["it doesn't answer", "it doesn't answer"],
      ['', ''],
    ];
    await endpointOf(fixture, { ordering: 'none' });
    const all = reasons.flat();
    await kill(
      fixture,
      all.map(() => ({ entityKey: null })),
      all,
    );
    const groups = await listDeadLetterGroups(client, {});
    expect(groups.map(({ letters }) => letters)).toEqual(reasons.map(() => 2));
    expect(groups.every(({ group }) => /^[\da-f]{12}$/.test(group))).toBe(true);
    expect(new Set(groups.map(({ reason }) => reasons.findIndex((one) => one.includes(reason)))).size).toBe(
      7,
    );
    // Not alike: another type.
    await kill(fixture, [{ entityKey: null, eventType: 'other' }], ['the status is 503.']);
    expect(await listDeadLetterGroups(client, {})).toHaveLength(8);
    expect(await listDeadLetterGroups(client, { type: 'oth*' })).toHaveLength(1);
    expect(await listDeadLetterGroups(client, { type: 'oth_r' })).toHaveLength(0);
  });

  test('a reason of a megabyte, with U+0000 and control characters, is kept cut, and has a group', async () => {
    await endpointOf(fixture, { ordering: 'none' });
    const reason = `\u0000\u001b[2J"${'\\"\'`(a|b)*9'.repeat(100_000)}`;
    await kill(fixture, [{ entityKey: null }, { entityKey: null }], [reason, reason.replaceAll('9', '8')]);
    const { letters } = await listDeadLetters(client, {});
    expect(letters[0]?.reason.slice(0, 6)).toBe('\u{fffd}\u001b[2J"');
    expect(letters.map((each) => each.reason.length)).toEqual([2_000, 2_000]);
    expect(new Set(letters.map(({ group }) => group)).size).toBe(1);
  });

  test('a list goes on where it ended; one letter is shown with its bytes', async () => {
    await endpointOf(fixture);
    const payload = ' { "a": 1.0, "a": 9007199254740993, "s": "\\u0000 é😀" }\n';
    await kill(fixture, [{ payload, headers: '{"b": "1","a": "2"}', entityKey: 'k' }]);
    await kill(fixture, [{ entityKey: 'k' }]);
    await kill(fixture, [{ entityKey: 'k', eventType: 'other' }]);
    const [first, second, third] = await letterIds(fixture);
    const page = await listDeadLetters(client, { sink: 'webhooks' }, { limit: 2 });
    expect(page.letters.map(({ id }) => id)).toEqual([third, second]);
    const rest = await listDeadLetters(client, {}, { limit: 2, after: page.next ?? '' });
    expect(rest).toMatchObject({
      letters: [{ id: first, state: 'dead', attempts: 1, entityKey: 'k' }],
      next: null,
    });
    const { diedAt } = page.letters[0]!;
    const since = await listDeadLetters(client, { since: new Date(Date.parse(diedAt) + 1_000) });
    expect(since.letters).toEqual([]);
    const shown = await showDeadLetter(client, first!);
    expect(shown?.payload?.toString()).toBe(payload);
    expect(shown).toMatchObject({
      headers: '{"b": "1","a": "2"}',
      eventVersion: 1,
      redrives: 0,
      redriveAt: null,
    });
    expect(await showDeadLetter(client, '00000000-0000-7000-8000-000000000000')).toBeUndefined();
  });

  test('the viewer sees the letters of its tenant alone', async () => {
    for (const tenantId of ['acme', 'other']) {
      await endpointOf(fixture, { tenantId });
      await kill(fixture, [{ tenantId }]);
    }
    const [own, foreign] = await letterIds(fixture);
    await client.query('begin');
    try {
      await client.query('reset role; set local role event_runtime_viewer');
      await client.query("select set_config('event_runtime.tenant', 'acme', true)");
      expect((await listDeadLetters(client, {})).letters).toMatchObject([{ id: own, tenant: 'acme' }]);
      expect(await listDeadLetterGroups(client, {})).toMatchObject([{ letters: 1, tenants: 1 }]);
      expect(await showDeadLetter(client, foreign!)).toBeUndefined();
      expect((await listDeadLetters(client, { tenant: 'other' })).letters).toEqual([]);
      await expect(client.query('delete from event_runtime.dead_letter')).rejects.toMatchObject({
        code: '42501',
      });
    } finally {
      await client.query('rollback');
    }
  });

  test('what is discarded is gone and logged; an id that is none deletes nothing', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ entityKey: 'a' }, { entityKey: 'b' }, { entityKey: 'c', eventType: 'other' }]);
    const [a, b] = await letterIds(fixture);
    const lines: string[] = [];
    const logger = createLogger({ destination: { write: (line) => void lines.push(line) } });
    const why = { reason: 'sent by hand', by: 'ops', logger };
    const none = '00000000-0000-7000-8000-000000000000';
    await expect(discardDeadLetters(client, { ids: [a!, none] }, why)).rejects.toMatchObject({
      code: 'ER4019',
    });
    expect(await letterIds(fixture)).toHaveLength(3);
    expect(await discardDeadLetters(client, { type: 'thing.*' }, why)).toEqual({ letters: 2, redriving: 0 });
    expect(await letterIds(fixture)).toHaveLength(1);
    expect(JSON.parse(lines.join(''))).toMatchObject({
      event: 'letters.discarded',
      letters: 2,
      reason: 'sent by hand',
      by: 'ops',
      ids: [a, b].toSorted(),
    });
  });

  test('a letter that is being redriven can be discarded, also while it is being delivered', async () => {
    await endpointOf(fixture);
    await kill(fixture, [{ entityKey: 'a' }]);
    await requestRedrive(client, {}, { by: 'ops' });
    const [claimed] = await claimAll(fixture);
    const why = { reason: 'r', by: 'ops', logger: silentLogger };
    expect(await discardDeadLetters(client, {}, why)).toEqual({ letters: 1, redriving: 1 });
    expect(await fixture.queue.settle([settled(claimed!, 'dead')])).toEqual(new Set());
    expect(await letterIds(fixture)).toEqual([]);
    expect(await fixture.rows('select from event_runtime.webhook_delivery')).toEqual([]);
  });
});
