import { connectDirect, type Route } from '@event-runtime/runtime';
import type pg from 'pg';
import type { CommandContext } from '../cli/command-context.ts';
import type { ConfiguredFile, ConfiguredNats } from '../config/configured-sink.ts';
import { type GivenSettings, loadConfiguration } from '../config/load-configuration.ts';
import { relaySettingPaths } from './relay-setting-paths.ts';

/** Which relay on which database a command is about. */
export interface RelaySettings {
  readonly connectionString: string;
  readonly relay: string;
  readonly slot: string;
  readonly source: 'wal' | 'table';
  /** 1 where the WAL is read. */
  readonly shards: number;
  /** Whether the slot shall be carried over to standbys. */
  readonly failover: boolean;
  /** The sinks that are files, as they are configured here. */
  readonly files: ReadonlyArray<ConfiguredFile<number>>;
  /** Those into NATS. */
  readonly nats: ReadonlyArray<ConfiguredNats<number>>;
  readonly routes: readonly Route[] | undefined;
}

/** Reads those settings. @throws ER5001 with everything that is missing or not valid */
export async function relaySettings(context: CommandContext, given: GivenSettings): Promise<RelaySettings> {
  const { databaseUrl, relay, sinks, routes } = await loadConfiguration({
    given,
    env: context.env,
    signal: context.signal,
    only: relaySettingPaths,
  });
  return {
    connectionString: databaseUrl,
    relay: relay.name,
    slot: relay.slot,
    source: relay.source,
    shards: relay.source === 'table' ? relay.shards : 1,
    failover: relay.failover,
    files: sinks.filter((sink) => sink.type === 'file'),
    nats: sinks.filter((sink) => sink.type === 'nats'),
    routes,
  };
}

/** A connected command. */
export interface Site extends RelaySettings, AsyncDisposable {
  readonly client: pg.Client;
}

/** Connects, and ends the connection at dispose. @throws ER5001, ER1001, ER1004 */
export async function openSite(context: CommandContext, given: GivenSettings): Promise<Site> {
  const settings = await relaySettings(context, given);
  const connection = await connectDirect({
    connectionString: settings.connectionString,
    applicationName: 'event-runtime operator',
    signal: context.signal,
  });
  return {
    ...settings,
    client: connection.client,
    [Symbol.asyncDispose]: async () => await connection[Symbol.asyncDispose](),
  };
}
