import type { Route } from '@event-runtime/runtime';
import { nameOfSink, type SinkSettings } from './configured-sink.ts';
import type { EffectiveSetting } from './effective-setting.ts';
import { withNearest } from './kinds/one-of.ts';
import type { Origin } from './origin.ts';
import { shown } from './parsed.ts';
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
  const files = value('sinks') as readonly SinkSettings[] | undefined;
  if (typeof shards === 'number' && shards > 1 && files?.some(({ type }) => type === 'file') === true) {
    blame('relay.shards', 'it must be 1 where a sink is a file, for only one process may write that');
  }
  problems.push(...routeProblems(merged));
  const [kept, most] = [value('retention.outboxDays'), value('retention.maxDays')];
  if (typeof kept === 'number' && typeof most === 'number' && most < kept) {
    blame('retention.maxDays', `it must not be less than retention.outboxDays, which is ${kept}`);
  }
  return problems;
}

/** A route that leads nowhere, and a sink that no route leads to. */
function routeProblems(merged: ReadonlyMap<SettingPath, EffectiveSetting>): Problem[] {
  const routes = merged.get('routes')?.value as readonly Route[] | undefined;
  const sinks = merged.get('sinks')?.value as readonly SinkSettings[] | undefined;
  if (routes === undefined || sinks === undefined) return [];
  const origin: Origin = merged.get('routes')?.origin ?? { kind: 'default', name: '' };
  const names = sinks.map(nameOfSink);
  const problems: Problem[] = [];
  for (const [index, { to }] of routes.entries()) {
    for (const [place, name] of to.entries()) {
      if (names.includes(name)) continue;
      const allowed = withNearest(`it must be one of ${names.join(', ')}`, { given: name, words: names });
      problems.push(
        problemOf('routes', { at: `[${index}].to[${place}]`, found: `is ${shown(name)}`, allowed }, origin),
      );
    }
  }
  for (const name of names) {
    if (routes.some(({ to }) => to.includes(name))) continue;
    const found = `lead nowhere to the sink ${name}`;
    problems.push(
      problemOf('routes', { at: '', found, allowed: 'each sink needs a route, or is not needed' }, origin),
    );
  }
  return problems;
}
