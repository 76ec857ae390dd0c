import { nearestName } from './nearest-name.ts';
import { settingRows } from './settings-table.ts';

const prefix = /^EVENT_RUNTIME_/;

/**
 * Sentences about variables that are nearly the name of a setting: mistyped, they would be without effect in silence.
 * Any other that begins with EVENT_RUNTIME_ is let be: container platforms set variables named after services.
 */
export function suspectVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Map(
    settingRows.flatMap(([, { env: name }]) => (name === null ? [] : [[name.replace(prefix, ''), name]])),
  );
  return Object.keys(env).flatMap((name) => {
    if (!prefix.test(name) || [...known.values()].includes(name)) return [];
    const near = known.get(nearestName(name.replace(prefix, ''), [...known.keys()]) ?? '');
    return near === undefined ? [] : [`The variable ${name} is not known; did you mean ${near}?`];
  });
}
