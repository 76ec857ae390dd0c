import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { serverError } from '../server-error.ts';

/** The oldest version that will do: the first with atomic batches. */
const floor = [2, 12] as const;

const variable = 'EVENT_RUNTIME_NATS_SERVER';

/** Where `npm run services` puts what it obtains, in a checkout. */
const obtained = fileURLToPath(new URL('../../../../.tools/nats-server/bin/nats-server', import.meta.url));

/**
 * Path of a nats-server that will do, by the rule of `npm run services`: the one that `EVENT_RUNTIME_NATS_SERVER` names,
 * else the first on the PATH, else the one in `.tools`. Each is asked for its version, and nothing is fetched.
 *
 * @param tools path of the one in `.tools`. Default: this checkout's
 * @throws ER5011 there is none, with what was found and why it will not do
 */
export async function findNatsServer(
  env: Readonly<Record<string, string | undefined>>,
  { tools = obtained }: { readonly tools?: string } = {},
): Promise<string> {
  const named = env[variable] ?? '';
  const refused: string[] = [];
  // Who names one means that very program.
  const candidates = named === '' ? [...onPath(env['PATH'] ?? ''), tools] : [named];
  for (const path of candidates) {
    if (named === '' && !(await mayRun(path))) continue;
    const objection = await objectionTo(path);
    if (objection === undefined) return path;
    refused.push(`${path}: ${objection}.`);
  }
  const looked = `${variable} is not set, and there is none on the PATH nor at ${tools}.`;
  throw serverError('ER5011', { detail: refused.length === 0 ? looked : refused.join(' ') });
}

/** What npm puts on the PATH (`node_modules/.bin`) is left out: it is not the machine's own. */
function onPath(path: string): string[] {
  const name = process.platform === 'win32' ? 'nats-server.exe' : 'nats-server';
  const folders = path.split(delimiter).filter((folder) => folder !== '' && !folder.includes('node_modules'));
  return [...new Set(folders)].map((folder) => join(folder, name));
}

async function mayRun(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Why a program will not do; undefined when it will. */
async function objectionTo(path: string): Promise<string | undefined> {
  const run = promisify(execFile)(path, ['--version'], { timeout: 10_000 });
  const text = await run.then(
    ({ stdout }) => stdout,
    (error: unknown) => error as Error,
  );
  if (text instanceof Error) return `it cannot be run (${text.message.split('\n')[0]})`;
  const [, major, minor] = /(\d+)\.(\d+)\.\d+/.exec(text) ?? [];
  if (major === undefined) return 'it does not tell its version';
  const isOld = Number(major) < floor[0] || (Number(major) === floor[0] && Number(minor) < floor[1]);
  return isOld ? `it is ${major}.${minor}, and ${floor.join('.')} is needed` : undefined;
}
