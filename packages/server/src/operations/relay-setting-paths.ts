import type { SettingPath } from '../config/settings-table.ts';

/** The settings that operators' commands take. */
export const relaySettingPaths: readonly SettingPath[] = [
  'databaseUrl',
  'sinks',
  'routes',
  'relay.name',
  'relay.slot',
  'relay.source',
  'relay.shards',
  'relay.failover',
];

/** The settings that say where events go. */
export const routeSettingPaths: readonly SettingPath[] = ['sinks', 'routes'];

/** Relays of others that can be configured. */
export const foreignRelays = ['debezium', 'sequin'] as const;
export type ForeignRelay = (typeof foreignRelays)[number];

/** The settings that such a configuration takes its names from. */
export const relayConfigSettingPaths: readonly SettingPath[] = ['databaseUrl', 'relay.name', 'relay.slot'];
