import { type Check, fail, ok, warn } from './check.ts';
import { platformFixes } from './platform.ts';
import { bytesText, secondsText } from './quantities.ts';
import { primaryCheck } from './report-checks.ts';
import type { ServerFacts } from './server-facts.ts';
import { standbyChecks } from './standby-checks.ts';

export interface ServerCheckOptions {
  readonly source: 'wal' | 'table';
  /** Whether the relay's slot is there; null: not known. */
  readonly slot: { readonly there: boolean; readonly failover: boolean | null } | null;
  /** This machine's clock when the facts were asked for. Milliseconds since 1970. */
  readonly clock: number;
}

/** The server: what it is, how it is set, and what the role may do there. */
export function serverChecks(facts: ServerFacts, options: ServerCheckOptions): Check[] {
  const { source } = options;
  return [
    versionCheck(facts),
    encodingCheck(facts),
    ...primaryCheck(facts.in_recovery),
    ...(source === 'wal' ? replicationChecks(facts, options) : []),
    clockCheck(facts, options.clock),
  ];
}

function versionCheck({ version, version_number }: ServerFacts): Check {
  const major = Math.floor(version_number / 10_000);
  const about = { code: 'ER1006', name: 'version', seen: `PostgreSQL ${version}` } as const;
  if (major < 15) return fail(about);
  return major > 18
    ? warn({
        ...about,
        fix: 'It is newer than what was tested (15 to 18); see the release notes of event-runtime.',
      })
    : ok(about);
}

function encodingCheck({ encoding }: ServerFacts): Check {
  const about = { code: 'ER1005', name: 'encoding', seen: encoding } as const;
  return encoding === 'UTF8' ? ok(about) : fail(about);
}

function replicationChecks(facts: ServerFacts, { slot }: ServerCheckOptions): Check[] {
  const fixes = platformFixes[facts.platform];
  const level = { code: 'ER1002', name: 'wal_level', seen: facts.wal_level } as const;
  const bound = facts.max_slot_wal_keep_mb;
  const keep = {
    code: 'ER1203',
    name: 'max_slot_wal_keep_size',
    seen: bound < 0 ? '-1 (unlimited)' : bytesText(bound * 1_048_576),
  } as const;
  const role = {
    code: 'ER1003',
    name: 'replication',
    seen: `${facts.role} ${facts.replication ? 'may' : 'may not'} use replication`,
  } as const;
  return [
    facts.wal_level === 'logical' ? ok(level) : fail({ ...level, fix: fixes.walLevel }),
    bound < 0 ? fail({ ...keep, fix: fixes.walBound }) : ok(keep),
    facts.replication ? ok(role) : fail({ ...role, fix: fixes.replication(facts.role) }),
    roomCheck(facts, slot?.there === true),
    ...idleCheck(facts),
    ...standbyChecks(facts, slot),
  ];
}

/** A slot that is there has its place; its reader needs one for itself, and at a takeover a second. */
function roomCheck(facts: ServerFacts, slotThere: boolean): Check {
  const { used_slots, max_slots, used_walsenders, max_walsenders } = facts;
  const seen = `${used_slots} of ${max_slots} slots, ${used_walsenders} of ${max_walsenders} walsenders in use`;
  const about = { code: 'ER1301', name: 'room for replication', seen } as const;
  if (!slotThere && (used_slots >= max_slots || used_walsenders >= max_walsenders)) return fail(about);
  return used_walsenders + 1 > max_walsenders ? warn(about) : ok(about);
}

function idleCheck({ idle_slot_timeout, platform }: ServerFacts): Check[] {
  if (idle_slot_timeout === null) return [];
  const about = { code: 'ER1306', name: 'idle_replication_slot_timeout' } as const;
  if (idle_slot_timeout === 0) return [ok({ ...about, seen: '0 (never)' })];
  const fix = platformFixes[platform].setting('idle_replication_slot_timeout', '0');
  return [warn({ ...about, seen: secondsText(idle_slot_timeout), fix })];
}

function clockCheck({ clock }: ServerFacts, here: number): Check {
  const difference = Math.abs(clock - here) / 1_000;
  const about = { code: 'ER1311', name: 'clocks', seen: `${secondsText(difference)} apart` } as const;
  return difference > 5 ? warn(about) : ok(about);
}
