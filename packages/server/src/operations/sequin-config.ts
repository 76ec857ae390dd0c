import { type ForeignRelaySite, passwordVariable } from './foreign-relay-site.ts';

/** Attribute of the envelope and column, where an event may be without one. */
const optionalHeaders = [
  ['ce-ecosystem', 'ecosystem'],
  ['ce-entitykey', 'entity_key'],
  ['ce-correlationid', 'correlation_id'],
  ['ce-causationid', 'causation_id'],
  ['traceparent', 'traceparent'],
] as const;

/**
 * `sequin.yaml`: our publication, a slot of its own, a sink into NATS. After Sequin's documentation and source (0.14.6);
 * not run against it here.
 *
 * `Nats-Msg-Id` is the event's id, which is the same whichever relay sends it; Sequin's own is another after a backfill.
 * Its subjects are letters, digits, `.`, `_` and `-`, 255 at most.
 */
export function sequinConfig(site: ForeignRelaySite): string {
  return [databases(site), functions(), sinks].join('\n');
}

function databases({ host, port, database, user, sslmode, slot }: ForeignRelaySite): string {
  return `# Sequin as the relay of event-runtime: sequin.yaml.
# ${passwordVariable} and NATS_HOST are taken from the environment.
databases:
  - name: "event-runtime"
    hostname: ${quoted(host)}
    port: ${port}
    database: ${quoted(database)}
    username: ${quoted(user)}
    password: "\${${passwordVariable}}"
    ssl: ${['require', 'verify-ca', 'verify-full'].includes(sslmode ?? '')}
    slot:
      name: ${quoted(slot)}
      create_if_not_exists: true
    publication:
      # Made by event-runtime migrate: inserts alone, and under the name of the partitioned table.
      name: "event_runtime"
      create_if_not_exists: false
`;
}

function functions(): string {
  return `functions:
  - name: "event-runtime-payload"
    type: "transform"
    code: |-
      def transform(action, record, changes, metadata) do
        record["payload"]
      end
  - name: "event-runtime-subject"
    type: "routing"
    sink_type: "nats"
    code: |-
      def route(action, record, changes, metadata) do
        type = String.replace(record["event_type"], ~r/[^a-zA-Z0-9._-]/, "_")
        headers = %{
          "Nats-Msg-Id" => to_string(record["event_id"]),
          "ce-id" => to_string(record["event_id"]),
          "ce-type" => record["event_type"],
          "ce-tenant" => record["tenant_id"],
          "ce-seq" => to_string(record["seq"]),
          "ce-eventversion" => to_string(record["event_version"]),
          "ce-time" => to_string(record["recorded_at"])
        }
${optionalHeaders.map(optionalHeader).join('\n')}
        %{subject: String.slice("outbox.event." <> type, 0, 255), headers: headers}
      end
`;
}

const sinks = `sinks:
  - name: "event-runtime-outbox"
    database: "event-runtime"
    status: "active"
    source:
      include_tables: ["event_runtime.outbox"]
    tables:
      # What order is kept by. Events without an entity key are one group of their tenant.
      - name: "event_runtime.outbox"
        group_column_names: ["tenant_id", "entity_key"]
    actions: ["insert"]
    transform: "event-runtime-payload"
    routing: "event-runtime-subject"
    message_grouping: true
    load_shedding_policy: "pause_on_full"
    timestamp_format: "iso8601"
    destination:
      type: "nats"
      host: "\${NATS_HOST}"
      port: 4222
      tls: false
`;

function optionalHeader([name, column]: readonly [string, string]): string {
  const value = `record["${column}"]`;
  return `        headers = if(is_nil(${value}), do: headers, else: Map.put(headers, "${name}", ${value}))`;
}

/** A text of JSON is one of YAML. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
