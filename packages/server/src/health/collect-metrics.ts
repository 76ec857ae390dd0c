import {
  Exposition,
  type RelayActivity,
  type RelayReport,
  type SinkReport,
  type SinkStatus,
  type SlotCondition,
} from '@event-runtime/runtime';
import type { DatabaseView } from './database-view.ts';
import type { ProcessFigures } from './process-figures.ts';

export interface MetricFacts {
  readonly view: DatabaseView;
  /** Null: this process is no relay. */
  readonly activity: RelayActivity | null;
  readonly status: readonly SinkStatus[];
  readonly figures: ProcessFigures;
  /** Whether there is to be a slot at all; not where the table is polled. */
  readonly slotted: boolean;
}

const slotStates: readonly SlotCondition[] = [
  'missing',
  'creating',
  'active',
  'taken',
  'inactive',
  'lost',
  'foreign',
];

/** The text of a scrape. */
export function collectMetrics(facts: MetricFacts): string {
  const { view, figures } = facts;
  const to = new Exposition();
  to.set('event_runtime_database_up', view.state === 'down' ? 0 : 1);
  if (view.state === 'up') {
    if (facts.slotted) setSlot(to, view.report);
    setReport(to, view.report);
  }
  setRelay(to, facts);
  to.set('process_cpu_seconds_total', figures.cpuSeconds);
  to.set('process_resident_memory_bytes', figures.residentBytes);
  to.set('process_start_time_seconds', figures.startedAtSeconds);
  to.set('nodejs_eventloop_lag_p99_seconds', figures.loopLagSeconds);
  return to.toString();
}

function setSlot(to: Exposition, { slot }: RelayReport): void {
  for (const state of slotStates) {
    to.set('event_runtime_slot_state', slot.condition === state ? 1 : 0, { state });
  }
  to.set('event_runtime_slot_restart_lag_bytes', slot.restartLagBytes);
  to.set('event_runtime_slot_flush_lag_bytes', slot.flushLagBytes);
  to.set('event_runtime_slot_safe_wal_bytes', slot.safeWalBytes);
  to.set('event_runtime_slot_catalog_xmin_age_transactions', slot.catalogXminAge);
}

function setReport(to: Exposition, report: RelayReport): void {
  const { webhooks } = report;
  for (const [sink, parts] of bySink(report.sinks)) setSink(to, { sink, parts });
  setDeadLetters(to, report);
  setReplays(to, report);
  to.set(
    'event_runtime_partitions_ahead_days',
    report.partitions.length === 0 ? null : Math.min(...report.partitions.map(({ daysAhead }) => daysAhead)),
  );
  to.set('event_runtime_webhook_pending', webhooks.pending);
  to.set('event_runtime_webhook_oldest_pending_seconds', webhooks.oldestSeconds ?? 0);
}

/** Of a sink without any there are none: a series that begins with its first letters never rises. */
function setDeadLetters(to: Exposition, { sinks, deadLetters }: RelayReport): void {
  const counts = new Map(sinks.map(({ sink }) => [sink, 0]));
  for (const { sink, count } of deadLetters) counts.set(sink, count);
  for (const [sink, count] of counts) to.set('event_runtime_dead_letters', count, { sink });
}

function setReplays(to: Exposition, { sinks, replays }: RelayReport): void {
  const running = bySink(replays);
  for (const sink of new Set([...sinks, ...replays].map((each) => each.sink))) {
    const of = running.get(sink) ?? [];
    to.set('event_runtime_replay_remaining_events', sum(of.map((each) => each.remainingEvents)), { sink });
    const stalled = Math.max(0, ...of.map((each) => each.stalledSeconds));
    to.set('event_runtime_replay_stalled_seconds', stalled, { sink });
  }
}

/** A sink in parts is as far as its parts together: sums of events, the oldest of ages. */
function setSink(
  to: Exposition,
  { sink, parts }: { readonly sink: string; readonly parts: readonly SinkReport[] },
): void {
  const known = (pick: (part: SinkReport) => number | null): number[] =>
    parts.map(pick).filter((value) => value !== null);
  const ages = known((part) => part.oldestUnreadSeconds);
  const unread = known((part) => part.unreadEvents);
  to.set('event_runtime_sink_oldest_undelivered_seconds', ages.length === 0 ? null : Math.max(...ages), {
    sink,
  });
  to.set('event_runtime_sink_unread_events', unread.length === 0 ? null : sum(unread), { sink });
  for (const mode of ['live', 'table'] as const) {
    to.set('event_runtime_sink_mode', parts.every((part) => part.mode === mode) ? 1 : 0, { sink, mode });
  }
  to.set('event_runtime_sink_paused', parts.some((part) => part.paused) ? 1 : 0, { sink });
  to.set('event_runtime_sink_gapped_events', sum(known((part) => part.gappedEvents)), { sink });
}

function setRelay(to: Exposition, { activity, status }: MetricFacts): void {
  for (const [sink, parts] of bySink(status)) {
    to.set('event_runtime_sink_delivered_total', sum(parts.map(({ delivered }) => delivered)), { sink });
  }
  if (activity === null) return;
  to.set('event_runtime_window_bytes', activity.window?.bytes ?? null);
  to.set('event_runtime_window_limit_bytes', activity.window?.limitBytes ?? null);
  for (const [sink, leases] of bySink(activity.leases)) {
    to.set('event_runtime_lease_held', leases.filter(({ held }) => held).length, { sink });
  }
}

function bySink<Row extends { readonly sink: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const sinks = new Map<string, Row[]>();
  for (const row of rows) sinks.set(row.sink, [...(sinks.get(row.sink) ?? []), row]);
  return sinks;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
