import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EgressGuard, Endpoints, migrate, SecretBox } from '@event-runtime/runtime';
import { SupervisedProcess, type SupervisedProcessOptions } from '@event-runtime/runtime/testing';
import type { ConfiguredSink } from 'event-runtime';
import pg from 'pg';
import { tenants } from '../workload/transaction-plan.ts';
import { stream } from './broker.ts';
import { natsRoutes } from './nats-routes.ts';

/** What the processes under test share. */
export interface Site {
  readonly databaseUrl: string;
  readonly receiverPort: number;
  /** The receiver's log. */
  readonly arrivalLog: string;
  /** The file sink's file. */
  readonly sinkFile: string;
  /** Where the configuration is written, and read by the relay. */
  readonly configFile: string;
  /** What the relay reads. */
  readonly source: 'wal' | 'table';
  /** Servers of the sink into NATS; none: there is no such sink. */
  readonly natsServers: readonly string[];
  /** Of the sink into NATS. */
  readonly afterDeadLetter: 'continue' | 'wait';
  readonly secretKey: string;
  readonly onFailure: (error: Error) => void;
}

/** The relay's name, and its slot's: the default. */
export const relayName = 'event_runtime';

/** Name of the sink into NATS. */
export const natsSink = 'nats';

/** Name of the file sink. */
export const fileSink = 'file';

/** The receiver is on no public network. */
const egressAllow = '127.0.0.0/8';

/** More repetitions than a run of kills can use up, each soon: a delivery must not die of what the harness does. */
const retries = [
  '20ms',
  '50ms',
  '100ms',
  '200ms',
  '500ms',
  ...Array.from({ length: 200 }, () => '1s'),
].join();

/** How many of a hundred events the receiver turns away when they come for the first time. */
const refusePercent = 4;

/** What Node has made of files before serves all processes of a run, where it is kept. */
const everyProcess = {
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
};

/** The configuration, the schema, and an endpoint for each tenant. */
export async function prepare(site: Site, signal: AbortSignal): Promise<void> {
  const sinks: ConfiguredSink[] = [
    { type: 'webhooks' },
    { type: 'file', name: fileSink, path: site.sinkFile },
  ];
  const configuration = { sinks, relay: { source: site.source }, http: { port: 0 } };
  const servers = site.natsServers;
  if (servers.length > 0) {
    const { afterDeadLetter } = site;
    const into = { name: stream, replicas: servers.length };
    sinks.push({ type: 'nats', name: natsSink, servers, stream: into, afterDeadLetter });
    Object.assign(configuration, { routes: natsRoutes(natsSink, ['webhooks', fileSink]) });
  }
  await writeFile(site.configFile, JSON.stringify(configuration));
  await migrate({ connectionString: site.databaseUrl, signal });
  const pool = new pg.Pool({ connectionString: site.databaseUrl, max: 1 });
  pool.on('error', () => undefined);
  try {
    const endpoints = new Endpoints({
      pool,
      secretBox: new SecretBox([site.secretKey]),
      guard: new EgressGuard({ allow: [egressAllow] }),
    });
    for (const tenantId of tenants) {
      const url = `http://127.0.0.1:${site.receiverPort}/hooks/${tenantId}`;
      await endpoints.create({ tenantId, url, eventTypes: ['*'], signal });
    }
  } finally {
    await pool.end();
  }
}

/**
 * The service as a user starts it: `event-runtime start`, with a configuration file and its environment.
 *
 * @param program the one of a patched copy
 * @param env what the failpoints need
 */
export function relayProcess(
  site: Site,
  { program, env }: { readonly program: string; readonly env: Readonly<Record<string, string>> },
): SupervisedProcess {
  return supervised(site, 'the relay', {
    args: [program, 'start', '--config', site.configFile],
    env: {
      ...everyProcess,
      NO_COLOR: '1',
      ...env,
      DATABASE_URL: site.databaseUrl,
      EVENT_RUNTIME_SECRET_KEY: site.secretKey,
      EVENT_RUNTIME_EGRESS_ALLOW: egressAllow,
      EVENT_RUNTIME_WEBHOOK_RETRIES: retries,
      // A kill costs this long until another process may go on: with the default a run would mostly wait.
      EVENT_RUNTIME_LEASE: '1s',
      EVENT_RUNTIME_STOP_WITH_STDIN: 'true',
    },
    readyText: '"event":"service.started"',
    // At a failpoint.
    killsItself: true,
  });
}

/** The customer's side. */
export function receiverProcess(site: Site): SupervisedProcess {
  const script = join(import.meta.dirname, '../receiver/receiver.ts');
  return supervised(site, 'the receiver', {
    args: [script, String(site.receiverPort), site.arrivalLog, String(refusePercent)],
    env: everyProcess,
    readyText: 'listening',
  });
}

function supervised(
  site: Site,
  name: string,
  options: Omit<SupervisedProcessOptions, 'onFailure' | 'maxUnaskedExits'>,
): SupervisedProcess {
  return new SupervisedProcess({
    ...options,
    maxUnaskedExits: 8,
    onFailure({ how, log, cause }) {
      const message = `${name} keeps ending by itself (${how}). Its output ends with: ${log}`;
      site.onFailure(new Error(message, { cause }));
    },
  });
}
