import { type RelayReport, readerText, type SinkReport, type SlotCondition } from '@event-runtime/runtime';
import { type Check, fail, ok, warn } from './check.ts';
import { bytesText, countText, secondsText } from './quantities.ts';
import { hindranceText, replaysText } from './replay-text.ts';

/** From when on something is worth a word. */
export interface CheckLimits {
  /** Age of a sink's oldest event. Default 60. */
  readonly sinkSeconds?: number;
  /** Age of the oldest webhook delivery: retries of a failing endpoint last for days. Default 3,600. */
  readonly webhookSeconds?: number;
  /** Since a replay got on. Default 60. */
  readonly replaySeconds?: number;
  /** Fewer days of partitions ahead. Default 7. */
  readonly partitionDays?: number;
  /** Transactions that the slot holds back vacuum of the catalogues for; ten times as many fail. Default 10,000,000. */
  readonly catalogTransactions?: number;
}

/** What a relay's report says, as checks; of `status` and `doctor` alike. */
export function reportChecks(
  report: RelayReport,
  options: { readonly source: 'wal' | 'table'; readonly limits?: CheckLimits },
): Check[] {
  const { source, limits = {} } = options;
  return [
    relayCheck(report, source),
    ...(source === 'wal' ? slotChecks(report, limits.catalogTransactions ?? 10_000_000) : []),
    // A standby does not know what is unread.
    ...(report.server.inRecovery ? [] : report.sinks.flatMap((sink) => sinkChecks(sink, limits))),
    partitionCheck(report, limits.partitionDays ?? 7),
    deadLetterCheck(report),
    replayCheck(report, limits.replaySeconds ?? 60),
    webhookCheck(report, limits.webhookSeconds ?? 3_600),
  ];
}

/** Nothing to say of a primary. */
export function primaryCheck(inRecovery: boolean): Check[] {
  if (!inRecovery) return [];
  return [fail({ code: 'ER1208', name: 'primary', seen: 'the server is a standby' })];
}

function relayCheck({ leases, sinks }: RelayReport, source: 'wal' | 'table'): Check {
  const about = { code: 'ER1312', name: 'relay' } as const;
  const units = source === 'wal' ? [{ sink: '*', shard: 0 }] : sinks;
  const holders = units.map((unit) =>
    leases.find((each) => each.sink === unit.sink && each.shard === unit.shard),
  );
  const free = units.filter((_, index) => holders[index] === undefined);
  if (free.length === units.length) return fail({ ...about, seen: 'no lease is held' });
  if (free.length > 0) {
    return warn({
      ...about,
      seen: `nobody has ${free.map(({ sink, shard }) => `${sink}/${shard}`).join(', ')}`,
    });
  }
  const holder = [...new Set(holders.map((each) => each?.holder))].join(', ');
  const replicas = replicasOf(leases);
  return ok({
    ...about,
    seen: `${holder} has the lease; ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`,
  });
}

/** Processes: each has a sign of life for every sort of lease that it may have. */
export function replicasOf(leases: RelayReport['leases']): number {
  return new Set(leases.filter(({ sink }) => sink.startsWith('@')).map(({ holder }) => holder)).size;
}

const slotConditions: Readonly<Record<SlotCondition, (report: RelayReport) => Check[]>> = {
  missing: (report) => [
    warn({ ...slotOf(report), seen: 'there is none', fix: 'Run `event-runtime start`, which makes it.' }),
  ],
  foreign: (report) => [foreignCheck(report)],
  lost: (report) => [
    fail({
      ...slotOf(report),
      seen: `lost: ${report.slot.invalidationReason ?? 'its WAL was removed'}`,
      fix: 'A running relay makes a new one by itself, and sinks read the table meanwhile: run `event-runtime start`.',
    }),
  ],
  creating: (report) => [
    ok({ ...slotOf(report), seen: 'it is being made, which waits for every open transaction' }),
  ],
  inactive: (report) => [
    warn({ ...slotOf(report), code: 'ER1304', seen: `nobody reads it; it ${keptText(report)}` }),
    ...walCheck(report),
  ],
  taken: (report) => [takenCheck(report), ...walCheck(report)],
  active: (report) => [
    ok({
      ...slotOf(report),
      seen: `read; ${bytesText(report.slot.flushLagBytes ?? 0)} behind, ${keptText(report)}`,
    }),
    ...walCheck(report),
  ],
};

function slotOf({ slot }: RelayReport): { readonly name: string; readonly code: 'ER1202' } {
  return { name: `slot ${slot.name}`, code: 'ER1202' };
}

function keptText({ slot }: RelayReport): string {
  return `keeps ${bytesText(slot.restartLagBytes ?? 0)} of WAL`;
}

/** A slot of our name that is none of ours. */
function foreignCheck({ slot }: RelayReport): Check {
  const fix = 'Give this relay another slot: set relay.slot to a name that is free.';
  const name = `slot ${slot.name}`;
  if (slot.plugin === null)
    return fail({ code: 'ER1213', name, seen: 'it is physical: one for a standby', fix });
  if (!slot.here) return fail({ code: 'ER1211', name, seen: `it is of database ${slot.database}`, fix });
  return fail({ code: 'ER1213', name, seen: `it is for the plugin ${slot.plugin}, not pgoutput`, fix });
}

const readable: ReadonlySet<SlotCondition> = new Set(['active', 'inactive', 'taken']);

function slotChecks(report: RelayReport, catalogTransactions: number): Check[] {
  const { condition } = report.slot;
  return [
    ...slotConditions[condition](report),
    ...(readable.has(condition) ? catalogCheck(report, catalogTransactions) : []),
  ];
}

/** Somebody else reads it: two readers of a slot take each other's place, and neither has all. */
function takenCheck({ slot }: RelayReport): Check {
  const { name, reader } = slot;
  const about = { code: 'ER1201', name: `slot ${name}` } as const;
  // It was read by somebody when the condition was said.
  if (reader === null) return fail({ ...about, seen: 'read by somebody else' });
  const from = reader.clientAddress === null ? '' : `, from ${reader.clientAddress}`;
  const fix = `SELECT pg_terminate_backend(${reader.pid});  -- once its program is stopped, or has a slot of its own`;
  return fail({ ...about, seen: `read by ${readerText(reader)}${from}`, fix });
}

/** Vacuum may not remove what a decoder might still look up; and without vacuum transaction ids run out. */
function catalogCheck({ slot }: RelayReport, most: number): Check[] {
  if (slot.catalogXminAge === null) return [];
  const seen = `rows of the last ${countText(slot.catalogXminAge)} transactions are kept`;
  const about = { code: 'ER1322', name: 'vacuum of the catalogues', seen } as const;
  if (slot.catalogXminAge > most * 10) return [fail(about)];
  return [slot.catalogXminAge > most ? warn(about) : ok(about)];
}

/** How near the slot is to being lost. */
function walCheck({ slot, server }: RelayReport): Check[] {
  const { safeWalBytes, walStatus } = slot;
  const bound = server.maxSlotWalKeepBytes;
  if (safeWalBytes === null || bound === null) return [];
  const seen = `${bytesText(Math.max(safeWalBytes, 0))} of ${bytesText(bound)} left (wal_status ${walStatus})`;
  const about = { code: 'ER1305', name: 'WAL left for the slot', seen } as const;
  if (walStatus === 'unreserved' || safeWalBytes <= 0) return [fail(about)];
  return [safeWalBytes < bound / 2 ? warn(about) : ok(about)];
}

function sinkChecks(sink: SinkReport, { sinkSeconds = 60 }: CheckLimits): Check[] {
  const name = `sink ${sink.sink}${sink.shard === 0 ? '' : `, part ${sink.shard}`}`;
  const unread = sink.unreadEvents;
  const age = sink.oldestUnreadSeconds;
  const seen =
    unread === null || age === null
      ? 'not known: the checkpoint is of another cluster'
      : `${countText(unread, 10_000)} unread${unread === 0 ? '' : `, the oldest for ${secondsText(age)}`}`;
  const checks: Check[] = [];
  if (sink.paused) {
    const fix = `event-runtime sinks resume ${sink.sink}`;
    checks.push(warn({ code: 'ER1313', name, seen: `paused; ${seen}`, fix }));
  } else if (age === null) {
    checks.push(warn({ code: 'ER1206', name, seen }));
  } else {
    checks.push((age > sinkSeconds ? warn : ok)({ code: 'ER1316', name, seen }));
  }
  if (sink.gappedEvents > 0) {
    checks.push(
      warn({ code: 'ER1314', name, seen: `${countText(sink.gappedEvents)} events were dropped unread` }),
    );
  }
  return checks;
}

function partitionCheck({ partitions }: RelayReport, least: number): Check {
  const fewest = partitions.toSorted((a, b) => a.daysAhead - b.daysAhead)[0];
  const days = fewest?.daysAhead ?? 0;
  const about = { code: 'ER1309', name: 'partitions' } as const;
  const seen = `${days} days ahead${fewest === undefined ? '' : ` (${fewest.table})`}`;
  return days < least ? warn({ ...about, seen }) : ok({ ...about, seen });
}

function deadLetterCheck({ deadLetters }: RelayReport): Check {
  const about = { code: 'ER1315', name: 'dead letters' } as const;
  if (deadLetters.length === 0) return ok({ ...about, seen: 'none' });
  const seen = deadLetters.map(({ sink, count }) => `${sink}: ${countText(count, 10_000)}`).join(', ');
  return warn({ ...about, seen });
}

function replayCheck({ replays }: RelayReport, most: number): Check {
  const about = { code: 'ER1323', name: 'replays' } as const;
  const still = replays.filter(({ stalledSeconds }) => stalledSeconds > most);
  const [first] = still;
  if (first === undefined) return ok({ ...about, seen: replaysText(replays) });
  const { id, sink, stalledSeconds } = first;
  const others = still.length === 1 ? '' : `, and ${still.length - 1} more`;
  const why = hindranceText(first) ?? 'nothing is known to be in the way';
  return warn({
    ...about,
    seen: `${id} for sink ${sink} for ${secondsText(stalledSeconds)}: ${why}${others}`,
    ...(first.waitsFor === 'resume' ? { fix: `event-runtime sinks resume ${sink}` } : {}),
  });
}

function webhookCheck({ webhooks }: RelayReport, most: number): Check {
  const { pending, oldestSeconds } = webhooks;
  const about = { code: 'ER1317', name: 'webhook deliveries' } as const;
  if (oldestSeconds === null) return ok({ ...about, seen: 'none pending' });
  const seen = `${countText(pending, 10_000)} pending, the oldest for ${secondsText(oldestSeconds)}`;
  return oldestSeconds > most ? warn({ ...about, seen }) : ok({ ...about, seen });
}
