import { nearestName } from './nearest-name.ts';
import { type SettingPath, settingRows } from './settings-table.ts';

const prefix = /^EVENT_RUNTIME_/;

/**
 * Sentences about variables that are nearly the name of a setting, or are named after one that no variable can give:
 * they would be without effect in silence.
 * Any other that begins with EVENT_RUNTIME_ is let be: container platforms set variables named after services.
 */
export function suspectVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Map(
    settingRows.flatMap(([, { env: name }]) => (name === null ? [] : [[name.replace(prefix, ''), name]])),
  );
  const inFilesAlone = new Map(
    settingRows.flatMap(([path, { env: name }]) =>
      name === null ? [[variableOf(path), path] as const] : [],
    ),
  );
  return Object.keys(env).flatMap((name) => {
    if (!prefix.test(name) || [...known.values()].includes(name)) return [];
    const path = inFilesAlone.get(name);
    if (path !== undefined) {
      return [`The variable ${name} has no effect: only a configuration file can give ${path}.`];
    }
    const near = known.get(nearestName(name.replace(prefix, ''), [...known.keys()]) ?? '');
    return near === undefined ? [] : [`The variable ${name} is not known; did you mean ${near}?`];
  });
}

/** What a variable for this setting would be called: `retention.archive`, `EVENT_RUNTIME_RETENTION_ARCHIVE`. */
function variableOf(path: SettingPath): string {
  const words = path.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).replaceAll('.', '_');
  return `EVENT_RUNTIME_${words.toUpperCase()}`;
}
