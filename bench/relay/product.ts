import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Disturbed } from '../measure/disturbed.ts';

const program = fileURLToPath(new URL('../../packages/server/bin/event-runtime.js', import.meta.url));

const joinedLine = /"event":"relay\.sink\.joined"[^\n]*?"sink":"([^"]*)"/g;

/** A product that does nothing, or does not stop, for so long will not. */
const patienceMs = 120_000;

/** What a scrape of the product's own metrics says. */
export interface Scrape {
  /** `performance.now()` when it was asked for. */
  readonly askedAt: number;
  /** `performance.now()` when the answer had come. */
  readonly at: number;
  /** The value of a metric with these labels; 0 where there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
}

export interface ProductOptions {
  readonly databaseUrl: string;
  readonly port: number;
  /** As in a configuration file, without the database and the port. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** `event-runtime start` in a process of its own, as users run it; measured by its own metrics. */
export class Product implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #port: number;
  #log = '';
  /** Sinks that have joined the WAL, as the log says. */
  readonly #joined = new Set<string>();
  /** To all sinks, at the last look. */
  #delivered = { count: 0, at: 0 };
  #disturbed: Disturbed | undefined;

  private constructor(child: ChildProcess, options: { readonly folder: string; readonly port: number }) {
    this.#child = child;
    this.#folder = options.folder;
    this.#port = options.port;
    for (const pipe of [child.stdout, child.stderr]) {
      pipe?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-4_000);
        for (const [, sink = ''] of this.#log.matchAll(joinedLine)) this.#joined.add(sink);
      });
    }
  }

  static async start(options: ProductOptions): Promise<Product> {
    const { folder, file } = await writeConfiguration(options);
    const child = spawn(process.execPath, [program, 'start', '--config', file], {
      env: { ...environment(options), EVENT_RUNTIME_STOP_WITH_STDIN: 'true' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    return new Product(child, { folder, port: options.port });
  }

  /** What each of the product's settings comes to with this configuration, by its path, as the product says itself. */
  static async settings(options: ProductOptions): Promise<ReadonlyMap<string, unknown>> {
    const { folder, file } = await writeConfiguration(options);
    try {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [program, 'config', '--json', '--config', file],
        { env: environment(options) },
      );
      const said = JSON.parse(stdout) as {
        readonly settings: ReadonlyArray<{ readonly path: string; readonly value: unknown }>;
      };
      return new Map(said.settings.map(({ path, value }) => [path, value]));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** @throws when the process has ended */
  async scrape(): Promise<Scrape | undefined> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      throw new Error(`the product ended: ${this.#log}`);
    const askedAt = performance.now();
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/metrics`, {
        signal: AbortSignal.timeout(10_000),
      });
      const text = await answer.text();
      const at = performance.now();
      return { askedAt, at, value: (name, labels) => valueIn(text, name, labels ?? {}) };
    } catch {
      return undefined;
    }
  }

  /**
   * Scrapes until the condition holds; the scrape that held.
   *
   * @throws Disturbed when the relay has lost its lease in between; when the process has ended, or no sink has got anything for two minutes
   */
  async until(condition: (scrape: Scrape) => boolean, everyMs = 20): Promise<Scrape> {
    let [delivered, movedAt] = [-1, performance.now()];
    for (;;) {
      const scrape = await this.scrape();
      if (scrape !== undefined) this.#requireLease(scrape);
      if (scrape !== undefined && condition(scrape)) return scrape;
      const now = scrape?.value('event_runtime_sink_delivered_total') ?? delivered;
      if (now !== delivered) [delivered, movedAt] = [now, performance.now()];
      else if (performance.now() - movedAt > patienceMs) {
        throw new Error(`the product does nothing, after ${delivered} events: ${this.#log}`);
      }
      await sleep(everyMs);
    }
  }

  /** With a new lease the relay counts from the beginning: what is waited for might never come. */
  #requireLease(scrape: Scrape): void {
    const { count, at } = this.#delivered;
    const delivered = scrape.value('event_runtime_sink_delivered_total');
    // Of two looks at the same time the older one may come later.
    if (delivered < count && scrape.askedAt > at) {
      this.#disturbed ??= new Disturbed(`the relay lost its lease after ${count} events`);
    }
    if (this.#disturbed !== undefined) throw this.#disturbed;
    if (delivered >= count) this.#delivered = { count: delivered, at: scrape.at };
  }

  /** Waits until a sink is fed from the WAL. One that joins it is in the log at once; metrics may be three seconds old. */
  async live(sink: string): Promise<void> {
    const is = (scrape: Scrape): boolean =>
      this.#joined.has(sink) || scrape.value('event_runtime_sink_mode', { sink, mode: 'live' }) === 1;
    // Nothing is measured yet: not so often that it is slower for being asked.
    await this.until(is, 100);
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const late = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs);
      await exit;
      clearTimeout(late);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function writeConfiguration(
  options: ProductOptions,
): Promise<{ readonly folder: string; readonly file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'event-runtime-bench-'));
  const file = join(folder, 'event-runtime.config.json');
  const http = { host: '127.0.0.1', port: options.port };
  await writeFile(
    file,
    JSON.stringify({ log: { level: 'info' }, http, roles: ['relay'], ...options.configuration }),
  );
  return { folder, file };
}

function environment({ databaseUrl, env }: ProductOptions): NodeJS.ProcessEnv {
  return { ...process.env, ...env, DATABASE_URL: databaseUrl };
}

/** The sum of the samples that have these labels. */
function valueIn(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name) || !/[ {]/.test(line[name.length] ?? '')) continue;
    if (Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`))) {
      sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
  }
  return sum;
}
