import { type Check, fail, ok, warn } from './check.ts';
import { platformFixes } from './platform.ts';
import type { ServerFacts, SlotFacts } from './server-facts.ts';

/**
 * Whether a failover would keep the slot, and whether it would take back what was delivered. From PostgreSQL 17 on, and
 * only where there are standbys, or where the server waits for some.
 *
 * @param slot the relay's; null: not known
 */
export function standbyChecks(
  facts: ServerFacts,
  slot: { readonly there: boolean; readonly failover: boolean | null } | null,
): Check[] {
  const { version_number, slots, slotless_standbys } = facts;
  if (version_number < 170_000 || slot?.there !== true) return [];
  const physical = slots.filter((each) => each.physical).map(({ name }) => name);
  const waitedFor = slotList(facts.synchronized_slots ?? '');
  if (physical.length + slotless_standbys.length + waitedFor.length === 0) return [];
  const standbys = standbysText(physical, slotless_standbys);
  const carried = {
    code: 'ER1307',
    name: 'failover slot',
    seen: `failover = ${slot.failover}; ${standbys}`,
  } as const;
  // The server lets only a slot that is carried over wait for standbys.
  if (slot.failover !== true) return [warn(carried)];
  if (waitedFor.length > 0) return [ok(carried), waitCheck(facts, waitedFor)];
  const seen = `empty; ${standbys}`;
  const list = { code: 'ER1308', name: 'synchronized_standby_slots', seen } as const;
  const fix =
    physical.length > 0
      ? settingFix(facts, physical)
      : 'Give each standby a physical slot, with primary_slot_name, and name those in synchronized_standby_slots.';
  return [ok(carried), warn({ ...list, fix })];
}

/** The server sends nothing through the relay's slot before each of these has it: who is not there stops it. */
function waitCheck(facts: ServerFacts, waitedFor: readonly string[]): Check {
  const known = new Map(facts.slots.map((each) => [each.name, each]));
  const problems = waitedFor.map((name) => ({ name, problem: problemOf(known.get(name)) }));
  const broken = problems.filter(({ problem }) => problem !== null);
  const name = 'synchronized_standby_slots';
  if (broken.length === 0) return ok({ code: 'ER1308', name, seen: waitedFor.join(', ') });
  const rest = problems.filter(({ problem }) => problem === null).map((each) => each.name);
  return fail({
    code: 'ER1321',
    name,
    seen: broken.map((each) => `${each.name}: ${each.problem}`).join('; '),
    fix: `${settingFix(facts, rest)}  -- or start the standby again`,
  });
}

/** Null: a standby reads it. */
function problemOf(slot: SlotFacts | undefined): string | null {
  if (slot === undefined) return 'there is no such slot';
  if (!slot.physical) return "it is logical, no standby's";
  if (slot.lost) return 'it is lost';
  return slot.active ? null : 'no standby reads it';
}

function settingFix({ platform }: ServerFacts, names: readonly string[]): string {
  return platformFixes[platform].setting('synchronized_standby_slots', names.join(', '));
}

/** The names in a list as PostgreSQL writes them: with commas, perhaps in double quotes. */
function slotList(setting: string): string[] {
  return setting
    .split(',')
    .map((name) => name.trim().replaceAll('"', ''))
    .filter((name) => name !== '');
}

function standbysText(physical: readonly string[], slotless: readonly string[]): string {
  return [
    physical.length === 0 ? '' : `standbys read ${physical.join(', ')}`,
    slotless.length === 0 ? '' : `without a slot: ${slotless.join(', ')}`,
  ]
    .filter((text) => text !== '')
    .join('; ');
}
