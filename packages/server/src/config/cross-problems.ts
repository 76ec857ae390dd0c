import type { ConfiguredSink } from './configured-sink.ts';
import type { EffectiveSetting } from './effective-setting.ts';
import type { Origin } from './origin.ts';
import { type Problem, problemOf } from './problem.ts';
import type { SettingPath } from './settings-table.ts';

/** What is wrong with settings taken together, each of them being valid. */
export function crossProblems(merged: ReadonlyMap<SettingPath, EffectiveSetting>): Problem[] {
  const problems: Problem[] = [];
  const value = (path: SettingPath): unknown => merged.get(path)?.value;
  const blame = (path: SettingPath, allowed: string): void => {
    const origin: Origin = merged.get(path)?.origin ?? { kind: 'default', name: '' };
    problems.push(problemOf(path, { at: '', found: `is ${String(value(path))}`, allowed }, origin));
  };
  const shards = value('relay.shards');
  if (value('relay.source') === 'wal' && typeof shards === 'number' && shards > 1) {
    blame('relay.shards', 'it must be 1 where relay.source is wal, for a slot has one reader');
  }
  const files = value('sinks') as readonly ConfiguredSink[] | undefined;
  if (typeof shards === 'number' && shards > 1 && files?.some(({ type }) => type === 'file') === true) {
    blame('relay.shards', 'it must be 1 where a sink is a file, for only one process may write that');
  }
  const [kept, most] = [value('retention.outboxDays'), value('retention.maxDays')];
  if (typeof kept === 'number' && typeof most === 'number' && most < kept) {
    blame('retention.maxDays', `it must not be less than retention.outboxDays, which is ${kept}`);
  }
  return problems;
}
