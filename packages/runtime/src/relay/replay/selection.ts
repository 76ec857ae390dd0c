import pg from 'pg';
import { runtimeError } from '../../errors/codes.ts';
import { instantForms, parseInstant } from '../../internal/instant.ts';

/** Which events of the outbox; each member that is there narrows it down. All left out: every event. */
export interface ReplaySelection {
  readonly tenant?: string;
  /** A glob: `claim.*`; the `*` stands for any text, dots included. */
  readonly type?: string;
  readonly entityKey?: string;
  /** Recorded at this time or later. ISO 8601 with a zone. */
  readonly from?: string;
  /** Recorded before. ISO 8601 with a zone. */
  readonly before?: string;
  /** UUIDs, at most 10,000. */
  readonly eventIds?: readonly string[];
}

/** As it is stored: the ids with where they stand, by which they are found at once. */
export interface StoredSelection extends ReplaySelection {
  /** The `seq` of each of `eventIds`, in decimal, ascending. Left out once the replay is over. */
  readonly seqs?: readonly string[];
}

const mostIds = 10_000;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** What an operator asked for, in the form in which it is stored. @throws ER6001 */
export function checkSelection(selection: ReplaySelection): ReplaySelection {
  const checked: Record<string, unknown> = {};
  for (const name of ['tenant', 'type', 'entityKey'] as const) {
    const value = selection[name];
    if (value === undefined) continue;
    if (value === '' || value.includes('\u0000')) throw invalid(`${name} is ${JSON.stringify(value)}.`);
    checked[name] = value;
  }
  for (const name of ['from', 'before'] as const) {
    const value = selection[name];
    if (value !== undefined) checked[name] = checkTime(value, name);
  }
  if (selection.eventIds !== undefined) checked['eventIds'] = checkIds(selection.eventIds);
  const { from, before }: ReplaySelection = checked;
  if (from !== undefined && before !== undefined && !earlier(from, before)) {
    throw invalid(`from (${from}) is not earlier than before (${before}).`);
  }
  return checked;
}

/** Of two times as {@link checkTime} gives them; they differ in their microseconds perhaps. */
function earlier(a: string, b: string): boolean {
  const [left, right] = [Date.parse(a), Date.parse(b)];
  if (left !== right) return left < right;
  return microsOf(a) < microsOf(b);
}

function microsOf(text: string): string {
  return (/\.\d{3}(\d*)Z$/.exec(text)?.[1] ?? '').padEnd(3, '0');
}

/** A time with its zone, or a day in UTC. @returns ISO 8601 in UTC @throws ER6001 */
export function checkTime(value: string, name: string): string {
  const instant = parseInstant(value);
  if (instant === undefined) throw invalid(`${name} is ${JSON.stringify(value)}; ${instantForms}.`);
  return instant;
}

function checkIds(ids: readonly string[]): readonly string[] {
  const wrong = ids.find((id) => !uuid.test(id));
  if (wrong !== undefined) throw invalid(`${JSON.stringify(wrong)} is no id of an event (a UUID).`);
  const all = [...new Set(ids.map((id) => id.toLowerCase()))];
  if (all.length === 0 || all.length > mostIds) {
    throw invalid(`There are ${all.length} ids; 1 to ${mostIds} can be replayed at a time.`);
  }
  return all;
}

/** As a condition on a row `o` of the outbox, in SQL. Expects what {@link checkSelection} gave. */
export function selectionSql(selection: StoredSelection): string {
  const { tenant, type, entityKey, from, before, seqs } = selection;
  const conditions = [
    tenant === undefined ? undefined : `o.tenant_id = ${pg.escapeLiteral(tenant)}`,
    type === undefined ? undefined : typeSql(type),
    entityKey === undefined ? undefined : `o.entity_key = ${pg.escapeLiteral(entityKey)}`,
    from === undefined ? undefined : `o.recorded_at >= ${pg.escapeLiteral(from)}`,
    before === undefined ? undefined : `o.recorded_at < ${pg.escapeLiteral(before)}`,
    seqs === undefined ? undefined : `o.seq = any ('{${seqs.join(',')}}'::bigint[])`,
  ];
  return conditions.filter((each) => each !== undefined).join(' and ') || 'true';
}

function typeSql(glob: string): string {
  if (!glob.includes('*')) return `o.event_type = ${pg.escapeLiteral(glob)}`;
  const pattern = glob.replaceAll(/[\\%_]/g, '\\$&').replaceAll('*', '%');
  return `o.event_type like ${pg.escapeLiteral(pattern)}`;
}

function invalid(detail: string): Error {
  return runtimeError('ER6001', { detail });
}
