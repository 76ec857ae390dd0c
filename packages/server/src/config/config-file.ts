import { access, readFile } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { EventRuntimeError } from '@event-runtime/outbox';
import { shownMessage } from './parsed.ts';
import { configurationError } from './problem.ts';

/** A configuration file, read but not checked. */
export interface ConfigFile {
  /** As a message names it. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly content: unknown;
}

export interface ConfigFileOptions {
  /** Where a file is looked for, and where a relative path begins. */
  readonly directory: string;
  /** The file to read; default: the one that is in the directory, if there is one. */
  readonly named?: string | undefined;
  readonly signal: AbortSignal;
  /** Whether this Node reads TypeScript. Default: as it says. */
  readonly typescript?: boolean;
}

const extensions = ['.ts', '.mts', '.js', '.mjs', '.json'] as const;

/** The names of a file that is found by itself. */
const fileNames: readonly string[] = extensions.map((extension) => `event-runtime.config${extension}`);

/**
 * Reads the configuration file; undefined when none was named and none is there.
 *
 * A TypeScript file is read by Node itself, which removes the types. A module is evaluated once in a process.
 *
 * @throws ER5001 not there, not readable, not of a known kind, or more than one in the directory
 */
export async function readConfigFile(options: ConfigFileOptions): Promise<ConfigFile | undefined> {
  const { directory, named, signal } = options;
  signal.throwIfAborted();
  const name = named ?? (await find(directory));
  if (name === undefined) return undefined;
  const path = resolve(directory, name);
  if (!(await exists(path))) throw refusal(name, 'is not there', 'Correct the path behind --config.');
  switch (extname(path)) {
    case '.json':
      return { name, path, content: parseJson(await readText(path, { name, signal }), name) };
    case '.ts':
    case '.mts':
      if (!(options.typescript ?? Boolean(process.features.typescript))) {
        const remedy = `Use Node 22.18 or later without --no-strip-types, or write ${name.replace(/\.m?ts$/, '.mjs')} or .json.`;
        throw refusal(name, `is TypeScript, which this Node (${process.version}) does not read`, remedy);
      }
      return { name, path, content: await importModule(path, name) };
    case '.js':
    case '.mjs':
      return { name, path, content: await importModule(path, name) };
    default:
      throw refusal(name, `has none of the endings ${extensions.join(', ')}`, 'Rename it.');
  }
}

async function find(directory: string): Promise<string | undefined> {
  const there: string[] = [];
  for (const name of fileNames) if (await exists(join(directory, name))) there.push(name);
  if (there.length > 1) {
    throw refusal(there.join(' and '), 'are both there', 'Keep one of them, or name it with --config.');
  }
  return there[0];
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

async function readText(
  path: string,
  options: { readonly name: string; readonly signal: AbortSignal },
): Promise<string> {
  const { name, signal } = options;
  try {
    return await readFile(path, { encoding: 'utf8', signal });
  } catch (error) {
    signal.throwIfAborted();
    throw refusal(name, `cannot be read (${codeOf(error)})`, 'Correct its permissions.');
  }
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The message may repeat a part of the text, and that a secret: only the place is taken from it.
    const place = / \(line \d+ column \d+\)$/.exec(error instanceof Error ? error.message : '')?.[0] ?? '';
    throw refusal(
      name,
      `is not valid JSON${place}`,
      'Correct it: no comments, no comma after the last entry.',
    );
  }
}

async function importModule(path: string, name: string): Promise<unknown> {
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as typeof module;
  } catch (error) {
    throw importRefusal(error, name);
  }
  if (!('default' in module)) {
    throw refusal(name, 'has no default export', 'Write `export default defineConfig({ … });`.');
  }
  return await module.default;
}

function importRefusal(error: unknown, name: string): EventRuntimeError {
  const code = codeOf(error);
  if (error instanceof SyntaxError) {
    // Not its message: that may repeat a part of the text.
    const why =
      code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' ? ': it has TypeScript that is more than types' : '';
    return refusal(name, `cannot be parsed${why}`, `Run \`node ${name}\` to see the line.`);
  }
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  if (code === 'ERR_MODULE_NOT_FOUND') {
    const remedy =
      'Install what it imports beside it (`npm install event-runtime`), or export a plain object.';
    return refusal(name, `imports what is not there (${shownMessage(text)})`, remedy);
  }
  return refusal(name, `failed when it was evaluated: ${shownMessage(text)}`, 'Correct it.');
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}

function refusal(name: string, found: string, remedy: string): EventRuntimeError {
  return configurationError([{ path: '', text: `The configuration file ${name} ${found}.`, remedy }]);
}
