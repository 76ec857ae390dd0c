import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = new URL('../../bin/event-runtime.js', import.meta.url).pathname;

/** Says at the end which modules were loaded, one in a line. */
const trace = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  import { writeSync } from 'node:fs';
  const loaded = [];
  registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
  process.on('exit', () => writeSync(2, loaded.map((url) => 'loaded ' + url + '\\n').join('')));
`)}`;

/** The modules that the program as built loads to answer, or what Node is told instead. */
async function loadedBy(args: readonly string[], what: readonly string[] = [program]): Promise<string[]> {
  const options = { env: { PATH: process.env['PATH'] } };
  const node = promisify(execFile)(process.execPath, ['--import', trace, ...what, ...args], options);
  // A call that is not valid answers too, with exit code 2.
  const { stderr } = await node.catch((error: unknown) => error as { readonly stderr: string });
  return [...stderr.matchAll(/^loaded (.*)$/gm)].map(([, url = '']) => url);
}

/** What takes long to load, and what only work with a database needs. */
const heavy =
  /\/node_modules\/(pg|pg-[a-z]+|undici|pino)\/|\/packages\/(runtime|outbox)\/|\/dist\/(demo|dev|health|service)\/(?!small-heap)/;

test.each([
  [['--help']],
  [['--version']],
  [['help', 'start']],
  [['sinks', 'pause', '--help']],
  [['demmo']],
  [['sinks', 'pase']],
  [['completion', 'bash']],
])('%j answers without a driver, a relay, or any work', async (args) => {
  const loaded = await loadedBy(args);
  expect(loaded.filter((url) => url.endsWith('/dist/cli/program.js'))).toHaveLength(1);
  expect(loaded.filter((url) => heavy.test(url))).toEqual([]);
});

test('what does work loads them: they would be seen', async () => {
  const loaded = (await loadedBy(['status', '--no-config'])).join('\n');
  expect(loaded).toMatch(/\/node_modules\/pg\//);
  expect(loaded).toMatch(/\/packages\/runtime\/dist\/relay\/relay\.js/);
});

test('who has no use for NATS can do without its packages: demo and dev, what tests are written with, the runtime', async () => {
  for (const name of ['@event-runtime/runtime/testing', '@event-runtime/runtime']) {
    const loaded = (await loadedBy([], ['--input-type=module', '-e', `import '${name}'`])).join('\n');
    expect(loaded).toMatch(/\/packages\/runtime\/dist\/schema\/migrator\.js/);
    expect(loaded).not.toMatch(/@nats-io/);
  }
});
