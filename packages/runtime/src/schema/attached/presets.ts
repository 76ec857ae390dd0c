import type { FieldSource, Mapping } from './mapping.ts';

export type TablePreset = 'debezium' | 'prisma-outbox' | 'organization-outbox';

/** A mapping for a table of a known form. */
interface Preset {
  readonly fields: Mapping;
  /** Fields that are left out where the table has not their columns. */
  readonly optional: readonly string[];
}

function column(...columns: string[]): FieldSource {
  return { columns };
}

/** By name. `debezium` has no tenant: a table of that convention has no column for it. */
const tablePresets: Readonly<Record<TablePreset, Preset>> = {
  debezium: {
    fields: {
      event_id: column('id'),
      event_type: column('type'),
      payload: column('payload'),
      entity_key: column('aggregatetype', 'aggregateid'),
      'header.rowid': column('id'),
      'header.aggregatetype': column('aggregatetype'),
      traceparent: column('tracingspancontext'),
    },
    optional: ['traceparent'],
  },
  'prisma-outbox': {
    fields: {
      tenant: column('tenantId'),
      event_id: column('eventId'),
      event_type: column('eventType'),
      payload: column('payload'),
      idempotency_key: column('idempotencyKey'),
      correlation_id: column('correlationId'),
      source_service: column('sourceService'),
      'header.rowid': column('eventId'),
    },
    optional: ['idempotency_key', 'correlation_id', 'source_service'],
  },
  'organization-outbox': {
    fields: {
      event_id: column('id'),
      event_type: column('event_type'),
      'header.rowid': column('id'),
      'header.eventname': column('event_name'),
      payload: column('payload'),
      tenant: column('organization_id'),
      traceparent: column('traceparent'),
    },
    optional: ['traceparent'],
  },
};

/** A preset's mapping for a table with these columns, with what was mapped otherwise. */
export function presetMapping(
  name: TablePreset,
  { columns, over }: { readonly columns: ReadonlySet<string>; readonly over: Mapping },
): Mapping {
  const { fields, optional } = tablePresets[name];
  const there = Object.entries(fields).filter(
    ([field, source]) =>
      !optional.includes(field) ||
      !('columns' in source) ||
      source.columns.every((each) => columns.has(each)),
  );
  return { ...Object.fromEntries(there), ...over };
}
