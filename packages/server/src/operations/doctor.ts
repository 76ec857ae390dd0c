import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { connectDirect, type RelayReport, relayReport } from '@event-runtime/runtime';
import type pg from 'pg';
import { type Check, type CheckCode, fail, ok } from './check.ts';
import { type CheckLimits, reportChecks } from './report-checks.ts';
import {
  foreignRowsCheck,
  oldTransactionCheck,
  publicationCheck,
  rightsCheck,
  schemaCheck,
} from './schema-checks.ts';
import { serverChecks } from './server-checks.ts';
import { readServerFacts } from './server-facts.ts';
import { sinkFileChecks } from './sink-file-checks.ts';
import { sinkNatsChecks } from './sink-nats-checks.ts';
import type { RelaySettings } from './site.ts';
import { tableChecks } from './table-checks.ts';

export interface DoctorOptions {
  readonly settings: RelaySettings;
  readonly signal: AbortSignal;
  /** Where the references of NATS sinks are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly limits?: CheckLimits & {
    /** How long a transaction may be open. Default 300. */
    readonly transactionSeconds?: number;
  };
  /** This machine's clock. Default `Date.now`; given by tests. */
  readonly clock?: () => number;
}

/** Looks at everything that the service needs. What cannot be looked at, because something before it fails, is left out. */
export async function runDoctor(options: DoctorOptions): Promise<Check[]> {
  const { settings, signal } = options;
  try {
    await using connection = await connectDirect({
      connectionString: settings.connectionString,
      applicationName: 'event-runtime doctor',
      signal,
    });
    const reached = ok({ code: 'ER1001', name: 'database', seen: whereOf(settings.connectionString) });
    return [reached, ...(await checksOf(connection.client, options))];
  } catch (error) {
    signal.throwIfAborted();
    if (!isEventRuntimeError(error) || (error.code !== 'ER1001' && error.code !== 'ER1004')) throw error;
    return [unreachable(error, settings.connectionString)];
  }
}

async function checksOf(client: pg.Client, options: DoctorOptions): Promise<Check[]> {
  const { settings, limits = {}, clock = Date.now } = options;
  const { source, relay, slot, shards } = settings;
  const here = clock();
  const facts = await readServerFacts(client);
  const schema = await schemaCheck(client);
  const usable = schema.state !== 'fail';
  const rights = usable ? await rightsCheck(client, facts) : undefined;
  const report: RelayReport | undefined =
    rights?.state === 'ok' ? await relayReport(client, { relay, slot, shards }) : undefined;
  const seenSlot =
    report === undefined
      ? null
      : { there: report.slot.condition !== 'missing', failover: report.slot.failover };
  return [
    ...serverChecks(facts, { source, slot: seenSlot, clock: here }),
    schema,
    ...(rights === undefined ? [] : [rights]),
    ...(usable && source === 'wal' ? [await publicationCheck(client)] : []),
    ...(rights?.state === 'ok' ? [await foreignRowsCheck(client)] : []),
    ...(usable ? await tableChecks(client) : []),
    await oldTransactionCheck(client, limits.transactionSeconds ?? 300),
    ...(report === undefined ? [] : reportChecks(report, { source, limits })),
    ...(await sinkFileChecks(settings.files, report?.sinks ?? [])),
    ...(await sinkNatsChecks(settings.nats, { routes: settings.routes, env: options.env })),
  ];
}

function unreachable(error: EventRuntimeError, url: string): Check {
  const { cause } = error;
  const said = cause instanceof Error ? [cause.message, ...nested(cause)].filter(Boolean).join('; ') : '';
  const seen = said === '' ? whereOf(url) : `${whereOf(url)}: ${said}`;
  return fail({ code: error.code as CheckCode, name: 'database', seen, fix: error.remedy });
}

/** Node tries several addresses, and says what became of each. */
function nested(error: Error): string[] {
  return error instanceof AggregateError ? error.errors.map((each) => (each as Error).message) : [];
}

/** Host and database, never who logs in with which password. */
function whereOf(connectionString: string): string {
  const { host, pathname } = new URL(connectionString);
  return `${host === '' ? 'the local socket' : host}${pathname}`;
}
