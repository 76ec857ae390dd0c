import * as producer from '../../packages/outbox/src/errors/codes.ts';
import * as runtime from '../../packages/runtime/src/errors/codes.ts';
import * as operation from '../../packages/runtime/src/errors/operation-errors.ts';
import * as replay from '../../packages/runtime/src/errors/replay-errors.ts';
import * as table from '../../packages/runtime/src/errors/table-errors.ts';
import { logEvents } from '../../packages/runtime/src/telemetry/log-events.ts';
import { metrics } from '../../packages/runtime/src/telemetry/metrics.ts';
import { composition } from '../../packages/server/src/cli/commands.ts';
import { program } from '../../packages/server/src/cli/program.ts';
import { terminalOf } from '../../packages/server/src/cli/terminal.ts';
import { configSchema } from '../../packages/server/src/config/config-schema.ts';
import { settingRows } from '../../packages/server/src/config/settings-table.ts';
import { cliPage } from './cli-page.ts';
import { configurationFileSource, configurationSource } from './configuration-types.ts';
import { type ErrorGroup, errorsPage } from './errors-page.ts';
import { logEventsPage } from './log-events-page.ts';
import { metricsPage } from './metrics-page.ts';
import { settingsPage } from './settings-page.ts';

/** A file that is made from the sources and committed. */
export interface Page {
  /** Path below the repository. */
  readonly path: string;
  readonly make: () => string;
}

/** Headings of the catalogues, in the order of the page; a catalogue that is missing here is an error. */
const titles: Readonly<Record<string, string>> = {
  databaseErrors: 'The database and its set-up',
  operationErrors: "What the operator's commands find",
  tableErrors: 'Tables that a team already has',
  producerErrors: 'Emitting',
  receiverErrors: 'Receiving webhooks',
  replicationErrors: 'Replication',
  deliveryErrors: 'Sinks and webhooks',
  replayErrors: 'Replays, and sinks that are rewound',
  configurationErrors: 'Configuration and command line',
  lifecycleErrors: 'The life of the process',
};

/** `runtimeErrors` is the others in one. */
const merged = 'runtimeErrors';

function errorGroups(): ErrorGroup[] {
  const { [merged]: whole, ...parts } = { ...producer, ...runtime, ...operation, ...table, ...replay };
  const catalogs = Object.entries(parts).filter(([, value]) => typeof value === 'object');
  const groups: ErrorGroup[] = [];
  for (const [name, title] of Object.entries(titles)) {
    const catalog = catalogs.find(([candidate]) => candidate === name)?.[1];
    if (typeof catalog !== 'object') throw new TypeError(`no error catalogue is called ${name}`);
    groups.push({ title, catalog });
  }
  for (const [name] of catalogs) {
    if (titles[name] === undefined)
      throw new TypeError(`the error catalogue ${name} has no heading in scripts/generate/pages.ts`);
  }
  const listed = new Set(groups.flatMap(({ catalog }) => Object.keys(catalog)));
  for (const code of Object.keys(whole)) {
    if (!listed.has(code)) throw new TypeError(`${code} is in ${merged} and in no catalogue of its own`);
  }
  return groups;
}

/** The command line, of which nothing is run. */
export function commands(): ReturnType<typeof program> {
  const { signal } = new AbortController();
  const context = { terminal: terminalOf(process), env: {}, signal };
  return program({ composition, context, onExit: () => undefined });
}

const settingFlags: ReadonlySet<string | null> = new Set([
  ...settingRows.map(([, { flag }]) => flag),
  '--config',
  '--no-config',
]);

/** JSON as the formatter leaves it: a list of words is one line. */
function jsonText(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2);
  const words = /\[\n\s+("[^"]*"(?:,\n\s+"[^"]*")*)\n\s+\]/g;
  return `${text.replaceAll(words, (_, inner: string) => `[${inner.replaceAll(/\n\s+/g, ' ')}]`)}\n`;
}

/** Everything that `npm run generate` writes. A further generated reference is added here. */
export const pages: readonly Page[] = [
  { path: 'docs/reference/errors.md', make: () => errorsPage(errorGroups()) },
  { path: 'docs/reference/log-events.md', make: () => logEventsPage(logEvents) },
  { path: 'docs/reference/metrics.md', make: () => metricsPage(metrics) },
  { path: 'docs/reference/cli.md', make: () => cliPage(commands(), (flag) => settingFlags.has(flag)) },
  { path: 'docs/reference/settings.md', make: () => settingsPage(settingRows) },
  {
    path: 'docs/reference/config.schema.json',
    make: () => jsonText(configSchema()),
  },
  {
    path: 'packages/server/src/config/configuration.ts',
    make: () => configurationSource(settingRows),
  },
  {
    path: 'packages/server/src/config/configuration-file.ts',
    make: () => configurationFileSource(settingRows),
  },
];
