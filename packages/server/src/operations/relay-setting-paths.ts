import type { SettingPath } from '../config/settings-table.ts';

/** The settings that operators' commands take. */
export const relaySettingPaths: readonly SettingPath[] = [
  'databaseUrl',
  'relay.name',
  'relay.slot',
  'relay.source',
  'relay.shards',
  'relay.failover',
];
