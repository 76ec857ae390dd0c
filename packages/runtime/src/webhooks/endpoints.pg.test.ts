import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { WebhookFixture } from './webhook-fixture.suite.ts';

describe.each(['15', '18'] as const)('PostgreSQL %s', (major) => {
  let fixture: WebhookFixture;
  beforeAll(async () => {
    fixture = await WebhookFixture.create(inject('postgres')[major]);
  });
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]();
  });

  test('made, listed, disabled, enabled; a tenant sees and changes its own only', async () => {
    const { endpoints } = fixture;
    const made = await endpoints.create({
      tenantId: 'acme',
      url: 'https://example.com/hook',
      eventTypes: ['claim.*', 'a', 'a'],
      ordering: 'endpoint',
    });
    expect(made.secret).toMatch(/^whsec_/);
    const shown = {
      endpointId: made.endpointId,
      tenantId: 'acme',
      url: 'https://example.com/hook',
      ordering: 'endpoint',
      state: 'enabled',
      disabledReason: null,
      eventTypes: ['a', 'claim.*'],
    };
    expect(await endpoints.list({ tenantId: 'acme' })).toEqual([shown]);
    expect(await endpoints.list({ tenantId: 'other' })).toEqual([]);
    const { endpointId } = made;
    expect(await endpoints.disable({ tenantId: 'other', endpointId, reason: 'no' })).toBe(false);
    expect(await endpoints.disable({ tenantId: 'acme', endpointId, reason: 'why' })).toBe(true);
    expect(await endpoints.list({ tenantId: 'acme' })).toEqual([
      { ...shown, state: 'disabled', disabledReason: 'why' },
    ]);
    expect(await endpoints.enable({ tenantId: 'acme', endpointId })).toBe(true);
    expect(await endpoints.list({ tenantId: 'acme' })).toEqual([shown]);
  });

  test('the secret is not in the table', async () => {
    const { secret, endpointId } = await fixture.endpoints.create({
      tenantId: 'acme',
      url: 'https://example.com/',
      eventTypes: ['*'],
    });
    const [row] = await fixture.rows<{ secret: Buffer }>(
      'select secret from event_runtime.webhook_endpoint where endpoint_id = $1',
      [endpointId],
    );
    expect(row!.secret.includes(secret.slice(6))).toBe(false);
    expect(fixture.secretBox.open(row!.secret, { endpointId })).toBe(secret);
  });

  test('one application for a tenant, also when many endpoints are made at once', async () => {
    const make = { tenantId: 'many', url: 'https://example.com/', eventTypes: ['*'] };
    await Promise.all(Array.from({ length: 8 }, () => fixture.endpoints.create(make)));
    expect(await fixture.endpoints.list({ tenantId: 'many' })).toHaveLength(8);
    expect(
      await fixture.rows(`select from event_runtime.webhook_application where tenant_id = 'many'`),
    ).toHaveLength(1);
  });

  test.each([
    [{ url: 'http://169.254.169.254/' }, 'ER4002'],
    [{ url: 'ftp://example.com/' }, 'ER4001'],
    [{ secret: 'whsec_short' }, 'ER4003'],
    [{ eventTypes: [] }, 'ER5001'],
    [{ eventTypes: [''] }, 'ER5001'],
    [{ eventTypes: ['*a*b*c*d'] }, 'ER5001'],
    [{ eventTypes: ['line\nbreak'] }, 'ER5001'],
  ])('%j is refused with %s, and nothing is written', async (changes, code) => {
    const refused = { tenantId: 'refused', url: 'https://example.com/', eventTypes: ['*'], ...changes };
    await expect(fixture.endpoints.create(refused)).rejects.toMatchObject({ code });
    expect(
      await fixture.rows(`select from event_runtime.webhook_application where tenant_id = 'refused'`),
    ).toEqual([]);
  });
});
