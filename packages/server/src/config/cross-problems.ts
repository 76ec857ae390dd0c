import type { Route } from '@event-runtime/runtime';
import type { SinkSettings } from './configured-sink.ts';
import type { EffectiveSetting } from './effective-setting.ts';
import { natsObjections } from './nats-problems.ts';
import type { Origin } from './origin.ts';
import type { Objection } from './parsed.ts';
import { type Problem, problemOf } from './problem.ts';
import { routeObjections } from './route-problems.ts';
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
  const files = value('sinks') as readonly SinkSettings[] | undefined;
  if (typeof shards === 'number' && shards > 1 && files?.some(({ type }) => type === 'file') === true) {
    blame('relay.shards', 'it must be 1 where a sink is a file, for only one process may write that');
  }
  problems.push(...sinkProblems(merged));
  const [kept, most] = [value('retention.outboxDays'), value('retention.maxDays')];
  if (typeof kept === 'number' && typeof most === 'number' && most < kept) {
    blame('retention.maxDays', `it must not be less than retention.outboxDays, which is ${kept}`);
  }
  return problems;
}

/** What is wrong with sinks and routes, taken together. */
function sinkProblems(merged: ReadonlyMap<SettingPath, EffectiveSetting>): Problem[] {
  const routes = merged.get('routes')?.value as readonly Route[] | undefined;
  const sinks = merged.get('sinks')?.value as readonly SinkSettings[] | undefined;
  if (sinks === undefined) return [];
  const of = (path: 'routes' | 'sinks', objections: readonly Objection[]): Problem[] => {
    const origin: Origin = merged.get(path)?.origin ?? { kind: 'default', name: '' };
    return objections.map((objection) => problemOf(path, objection, origin));
  };
  return [
    ...of('routes', routes === undefined ? [] : routeObjections(routes, sinks)),
    ...of('sinks', natsObjections(sinks, routes)),
  ];
}
