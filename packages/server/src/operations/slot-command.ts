import {
  createSlotAt,
  describeSlot,
  dropSlot,
  readerText,
  refuseForeignSlot,
  relayReport,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import type { GivenSettings } from '../config/load-configuration.ts';
import { serverError } from '../server-error.ts';
import { bytesText } from './quantities.ts';
import { openSite, type Site } from './site.ts';

export interface SlotOptions extends GivenSettings {
  readonly action: 'show' | 'create' | 'drop';
  /** `drop` does nothing without. */
  readonly yes: boolean;
  /** Of `create` and `drop`: say what would change, and change nothing. */
  readonly dryRun: boolean;
}

/** `event-runtime slot`: the replication slot's state; makes it, or drops it. */
export async function slotCommand(context: CommandContext, options: SlotOptions): Promise<ExitCode> {
  await using site = await openSite(context, options);
  return await actions[options.action](context, { site, yes: options.yes, dryRun: options.dryRun });
}

interface Asked {
  readonly site: Site;
  readonly yes: boolean;
  readonly dryRun: boolean;
}

const actions: Readonly<
  Record<SlotOptions['action'], (context: CommandContext, asked: Asked) => Promise<ExitCode>>
> = { show, create, drop };

async function show({ terminal, json }: CommandContext, { site }: Asked): Promise<ExitCode> {
  const { slot } = await relayReport(site.client, {
    relay: site.relay,
    slot: site.slot,
    shards: site.shards,
  });
  if (json) {
    terminal.out(JSON.stringify(slot));
    return exitCode.ok;
  }
  const facts: ReadonlyArray<readonly [string, string]> = [
    ['slot', slot.name],
    ['state', slot.invalidationReason === null ? slot.condition : `lost: ${slot.invalidationReason}`],
    ['database', slot.database ?? ''],
    ['plugin', slot.plugin ?? ''],
    ['reader', slot.reader === null ? '' : readerText(slot.reader)],
    ['wal_status', slot.walStatus ?? ''],
    ['keeps', amount(slot.restartLagBytes)],
    ['behind', amount(slot.flushLagBytes)],
    ['left', amount(slot.safeWalBytes)],
    ['failover', slot.failover === null ? '' : String(slot.failover)],
  ];
  for (const [name, text] of facts) {
    if (text !== '') terminal.out(`${terminal.colors.dim(name.padEnd(10))}  ${text}`);
  }
  return exitCode.ok;
}

async function create(context: CommandContext, { site, dryRun }: Asked): Promise<ExitCode> {
  const { terminal, json, signal, quiet } = context;
  const { connectionString, slot, failover } = site;
  if (dryRun) {
    const there = (await describeSlot(site.client, slot)) !== undefined;
    const line = there
      ? `There is a slot ${slot} already.`
      : `Slot ${slot} would be made, which waits for every open transaction.`;
    if (json) terminal.out(JSON.stringify({ slot, created: false, wouldCreate: !there }));
    else for (const each of [line, 'Nothing was changed.']) terminal.out(each);
    return exitCode.ok;
  }
  if (quiet !== true) terminal.note('Making the slot: that waits for every open transaction.');
  const made = (await createSlotAt({ connectionString, slot, failover, signal })) !== undefined;
  if (json) terminal.out(JSON.stringify({ slot, created: made }));
  else terminal.out(made ? `Slot ${slot} was made.` : `There is a slot ${slot} already.`);
  return exitCode.ok;
}

async function drop(context: CommandContext, { site, yes, dryRun }: Asked): Promise<ExitCode> {
  const { terminal, json, signal } = context;
  const { client, slot } = site;
  if (dryRun) return await showDrop(context, site);
  if (!yes) {
    throw serverError('ER5001', {
      detail: `Nothing was done: dropping slot ${slot} needs --yes.`,
      remedy:
        'Events stay in the outbox, and sinks read the table until a relay has made a new slot. Look with --dry-run, or add --yes.',
    });
  }
  const state = await describeSlot(client, slot);
  if (state !== undefined) refuseForeignSlot(state);
  // One that is read is not taken from its reader: the relay would make a new one at once.
  const dropped = await dropSlot(client, { slot, timeoutMs: 0, signal });
  if (json) terminal.out(JSON.stringify({ slot, dropped }));
  else terminal.out(dropped ? `Slot ${slot} was dropped.` : `There is no slot ${slot}.`);
  return exitCode.ok;
}

async function showDrop({ terminal, json }: CommandContext, { client, slot }: Site): Promise<ExitCode> {
  const state = await describeSlot(client, slot);
  if (state !== undefined) refuseForeignSlot(state);
  const activePid = state?.activePid ?? null;
  const wouldDrop = state !== undefined && activePid === null;
  if (json) {
    terminal.out(JSON.stringify({ slot, dropped: false, wouldDrop, activePid }));
    return exitCode.ok;
  }
  if (state === undefined) terminal.out(`There is no slot ${slot}.`);
  else if (wouldDrop) terminal.out(`Slot ${slot} would be dropped, and the WAL that it keeps be released.`);
  else terminal.out(`In the way: slot ${slot} is being read by process ${activePid}.`);
  terminal.out('Nothing was changed.');
  return exitCode.ok;
}

function amount(bytes: number | null): string {
  return bytes === null ? '' : bytesText(bytes);
}
