import { type ForeignRelaySite, passwordVariable } from './foreign-relay-site.ts';

/** Column of the outbox and attribute of the envelope (docs/reference/envelope.md) that travels as a header. */
const headers = [
  ['event_type', 'type'],
  ['tenant_id', 'tenant'],
  ['ecosystem', 'ecosystem'],
  ['entity_key', 'entitykey'],
  ['seq', 'seq'],
  ['event_version', 'eventversion'],
  ['correlation_id', 'correlationid'],
  ['causation_id', 'causationid'],
  ['source_service', 'source'],
  ['recorded_at', 'time'],
  ['traceparent', 'traceparent'],
  ['headers', 'headers'],
] as const;

const router = 'debezium.transforms.outbox';

/**
 * `application.properties` of Debezium Server: its PostgreSQL connector on our publication, its outbox event router on
 * our columns. After Debezium's documentation and source (2026); not run against it here.
 */
export function debeziumConfig(site: ForeignRelaySite): string {
  const groups: ReadonlyArray<readonly [comment: string, ReadonlyArray<readonly [string, string]>]> = [
    ['The database. The role needs REPLICATION and SELECT on event_runtime.outbox.', source(site)],
    [
      'A heartbeat, so that the slot moves on while nothing is emitted. Its records come to the sink as well, under\n' +
        '# __debezium-heartbeat.event_runtime: leave them out there, not by a transform, which would keep the slot still.',
      [
        ['debezium.source.heartbeat.interval.ms', '10000'],
        [
          'debezium.source.heartbeat.action.query',
          "SELECT pg_logical_emit_message(false, 'heartbeat', now()::text)",
        ],
      ],
    ],
    ['The router: the payload as it was emitted, everything else as headers.', routing()],
    ['Texts as they are: `json` would write the payload as a string in JSON.', formats()],
  ];
  const head = [
    '# Debezium Server as the relay of event-runtime: application.properties.',
    '# Add a sink (debezium.sink.type and what belongs to it).',
    `# ${passwordVariable} is taken from the environment. Topic of an event: outbox.event. and its type.`,
  ];
  const body = groups.map(([comment, pairs]) =>
    [`# ${comment}`, ...pairs.map(([key, value]) => `${key}=${escaped(value)}`)].join('\n'),
  );
  return `${[head.join('\n'), ...body].join('\n\n')}\n`;
}

function source(site: ForeignRelaySite): Array<readonly [string, string]> {
  const { host, port, user, database, sslmode, slot } = site;
  const pairs: Array<readonly [string, string]> = [
    ['connector.class', 'io.debezium.connector.postgresql.PostgresConnector'],
    ['database.hostname', literal(host)],
    ['database.port', String(port)],
    ['database.user', literal(user)],
    ['database.password', `\${${passwordVariable}}`],
    ['database.dbname', literal(database)],
    ...(sslmode === undefined ? [] : [['database.sslmode', literal(sslmode)] as const]),
    ['topic.prefix', 'event_runtime'],
    ['plugin.name', 'pgoutput'],
    ['slot.name', literal(slot)],
    ['slot.drop.on.stop', 'false'],
    // Ours: inserts alone, and under the name of the partitioned table.
    ['publication.name', 'event_runtime'],
    ['publication.autocreate.mode', 'disabled'],
    ['table.include.list', 'event_runtime.outbox'],
    ['snapshot.mode', 'no_data'],
    ['tombstones.on.delete', 'false'],
    ['offset.storage.file.filename', 'data/offsets.dat'],
    ['offset.flush.interval.ms', '1000'],
  ];
  return pairs.map(([key, value]) => [`debezium.source.${key}`, value]);
}

/**
 * `route.topic.replacement` keeps its default: it has `${}` in it, which Debezium Server would look for in the
 * environment. `table.field.event.timestamp` has no default and takes no timestamptz: the time is a header.
 */
function routing(): Array<readonly [string, string]> {
  return [
    ['debezium.transforms', 'outbox'],
    [`${router}.type`, 'io.debezium.transforms.outbox.EventRouter'],
    [`${router}.table.field.event.id`, 'event_id'],
    [`${router}.table.field.event.key`, 'entity_key'],
    [`${router}.table.field.event.payload`, 'payload'],
    [`${router}.route.by.field`, 'event_type'],
    [`${router}.table.expand.json.payload`, 'false'],
    [
      `${router}.table.fields.additional.placement`,
      headers.map(([column, alias]) => `${column}:header:${alias}`).join(','),
    ],
  ];
}

function formats(): Array<readonly [string, string]> {
  return [
    ['debezium.format.key', 'simplestring'],
    ['debezium.format.value', 'simplestring'],
    ['debezium.format.header', 'json'],
    ['debezium.format.header.schemas.enable', 'false'],
  ];
}

/** A text with nothing in it that would be looked up in the environment. */
function literal(text: string): string {
  return text.replaceAll('${', '\\${');
}

/** As java.util.Properties reads a value. */
function escaped(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replace(/^[ \t\f]/, (blank) => `\\${blank}`)
    .replaceAll(/[^\x20-\x7e]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
