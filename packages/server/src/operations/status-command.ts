import { type RelayReport, relayReport } from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import type { Check } from './check.ts';
import { checkLines } from './doctor-command.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { replaysText } from './replay-text.ts';
import { primaryCheck, replicasOf, reportChecks } from './report-checks.ts';
import { schemaCheck } from './schema-checks.ts';
import { sinkFileChecks } from './sink-file-checks.ts';
import { openSite } from './site.ts';
import { table } from './table.ts';
import { tableChecks } from './table-checks.ts';

/** `event-runtime status`: one screen of how the relay stands. Exit code 3 when something needs attention. */
export async function statusCommand(context: CommandContext, given: GivenSettings): Promise<ExitCode> {
  const { terminal, json } = context;
  await using site = await openSite(context, given);
  const { client, relay, slot, shards, source } = site;
  const schema = await schemaCheck(client);
  const report = schema.state === 'fail' ? undefined : await relayReport(client, { relay, slot, shards });
  const tables = schema.state === 'fail' ? [] : await tableChecks(client);
  const checks = [
    schema,
    ...tables,
    ...(report === undefined
      ? []
      : [...primaryCheck(report.server.inRecovery), ...reportChecks(report, { source })]),
    ...(await sinkFileChecks(site.files, report?.sinks ?? [])),
  ];
  const attention = checks.filter(({ state }) => state !== 'ok');
  if (json) terminal.out(JSON.stringify({ report: report ?? null, tables, attention }));
  else for (const line of screen({ report, tables, attention, source, terminal })) terminal.out(line);
  return attention.length === 0 ? exitCode.ok : exitCode.notHealthy;
}

interface Screen {
  readonly report: RelayReport | undefined;
  /** One check for each attached table. */
  readonly tables: readonly Check[];
  readonly attention: readonly Check[];
  readonly source: 'wal' | 'table';
  readonly terminal: Terminal;
}

function screen({ report, tables, attention, source, terminal }: Screen): string[] {
  const lines = report === undefined ? [] : reportLines(report, { tables, source, terminal });
  if (attention.length === 0) return [...lines, '', terminal.colors.green('Nothing needs attention.')];
  return [...lines, '', 'Needs attention', ...attention.flatMap((check) => checkLines(check, terminal))];
}

function reportLines(
  report: RelayReport,
  { tables, source, terminal }: Omit<Screen, 'report' | 'attention'>,
): string[] {
  const { server, slot, leases, sinks, partitions, deadLetters, replays, webhooks } = report;
  const holder =
    leases.find(({ sink }) => !sink.startsWith('@') && !sink.startsWith('#'))?.holder ?? 'nobody';
  const replicas = replicasOf(leases);
  const dead = deadLetters.reduce((total, { count }) => total + count, 0);
  const facts: Array<readonly [string, string]> = [
    ['database', `PostgreSQL ${server.version}${server.inRecovery ? ', a standby' : ''}`],
    ['relay', `${report.relay}: ${holder} works, ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`],
    ...(source === 'wal' ? [['slot', slotText(report)] as const] : []),
    ['partitions', `${Math.min(...partitions.map(({ daysAhead }) => daysAhead))} days ahead`],
    ...(tables.length === 0 ? [] : [['tables', `${countText(tables.length)} attached`] as const]),
    ['dead letters', countText(dead, 10_000)],
    ['replays', replaysText(replays)],
    [
      'webhooks',
      webhooks.oldestSeconds === null
        ? 'none pending'
        : `${countText(webhooks.pending, 10_000)} pending, the oldest for ${secondsText(webhooks.oldestSeconds)}`,
    ],
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  const rows = sinks.map((each) => [
    each.shard === 0 ? each.sink : `${each.sink}/${each.shard}`,
    each.paused ? 'paused' : each.mode,
    each.unreadEvents === null ? '?' : countText(each.unreadEvents, 10_000),
    each.oldestUnreadSeconds === null || each.unreadEvents === 0 ? '' : secondsText(each.oldestUnreadSeconds),
    each.positionLagBytes === null ? '' : bytesText(each.positionLagBytes),
  ]);
  return [
    ...facts.map(([name, text]) => `${terminal.colors.dim(name.padEnd(width))}  ${text}`),
    '',
    ...(slot.condition === 'missing' && sinks.length === 0
      ? ['No relay has run with a sink yet.']
      : table(['sink', 'reads', 'unread', 'oldest', 'WAL behind'], rows)),
  ];
}

function slotText({ slot }: RelayReport): string {
  const { condition, restartLagBytes, flushLagBytes, safeWalBytes } = slot;
  const lag =
    restartLagBytes === null
      ? ''
      : `, ${bytesText(flushLagBytes ?? 0)} behind, keeps ${bytesText(restartLagBytes)}`;
  const left = safeWalBytes === null ? '' : `, ${bytesText(Math.max(safeWalBytes, 0))} left`;
  return `${slot.name}: ${condition}${lag}${left}`;
}
