import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { type GivenSettings, loadConfiguration } from '../config/load-configuration.ts';
import { debeziumConfig } from './debezium-config.ts';
import { foreignRelaySite } from './foreign-relay-site.ts';
import { type ForeignRelay, relayConfigSettingPaths } from './relay-setting-paths.ts';
import { sequinConfig } from './sequin-config.ts';

export interface RelayConfigOptions extends GivenSettings {
  readonly relay: ForeignRelay;
}

/**
 * `event-runtime relay-config debezium|sequin`: prints a configuration with which another relay reads our outbox. Asks
 * no database.
 *
 * @throws ER5001 the database's URL is missing or not valid
 */
export async function relayConfigCommand(
  context: CommandContext,
  options: RelayConfigOptions,
): Promise<ExitCode> {
  const { databaseUrl, relay } = await loadConfiguration({
    given: options,
    env: context.env,
    signal: context.signal,
    only: relayConfigSettingPaths,
  });
  const site = foreignRelaySite(databaseUrl, { slot: relay.slot, relay: options.relay });
  const make = { debezium: debeziumConfig, sequin: sequinConfig }[options.relay];
  const config = make(site).trimEnd();
  context.terminal.out(context.json ? JSON.stringify({ relay: options.relay, config }) : config);
  return exitCode.ok;
}
