import { runtimeError } from '../errors/codes.ts';
import { type Deferred, deferred } from '../internal/deferred.ts';

/**
 * Where a service stands.
 *
 * - `new`: made, not started; holds nothing.
 * - `starting`: `run` was called and has not said that it is ready.
 * - `running`: ready; `start()` has resolved.
 * - `stopping`: `stop()` was called and `run` has not ended.
 * - `stopped`: `run` ended because it was asked to, or ended by itself without an error.
 * - `failed`: `run` ended with an error of its own.
 */
export type ServiceState = 'new' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed';

/** From where to where; anything else is a bug. `stopped` and `failed` are final: a service runs once. */
export const serviceTransitions: Readonly<Record<ServiceState, readonly ServiceState[]>> = {
  new: ['starting', 'stopped'],
  starting: ['running', 'stopping', 'stopped', 'failed'],
  running: ['stopping', 'stopped', 'failed'],
  stopping: ['stopped', 'failed'],
  stopped: [],
  failed: [],
};

/** What a running service is given. */
export interface RunContext {
  /** To be called once, when `start()` may resolve. */
  ready(): void;
  /** Aborted when no new work should begin: finish what is under way, make it durable, return. */
  readonly stopping: AbortSignal;
  /** Aborted when the grace period has passed: let go of everything now. */
  readonly aborted: AbortSignal;
}

export interface StopOptions {
  /** Milliseconds that work under way may take before it is aborted. Default 10,000. */
  readonly graceMs?: number;
  /** Milliseconds that `run` may take to end after it was aborted, before `stop` rejects with ER9002. Default 5,000. */
  readonly abortMs?: number;
}

/**
 * The life of every long-running part. A subclass writes {@link run}; this class owns the rest.
 *
 * Invariants (each guarded by a test of the same number in service.test.ts, and by `stressService`,
 * which every service must pass):
 *
 * 1. `start()` resolves only after `run` called `ready()`, and rejects if `run` ended before that.
 * 2. `stop()` is idempotent, legal in every state, and resolves only when `run` has ended.
 * 3. `stop()` before `start()` ends the service: a later `start()` rejects and `run` is never called.
 * 4. Stopping has two phases: `stopping` is aborted first, `aborted` only after the grace period.
 * 5. An error of `run` that is the consequence of our abort is a stop; any other is a failure.
 * 6. `finished` settles exactly when `run` has ended: resolved when stopped, rejected when failed.
 * 7. A second `start()` rejects with ER9001 and changes nothing.
 */
export abstract class Service implements AsyncDisposable {
  readonly name: string;
  readonly #stopping = new AbortController();
  readonly #aborted = new AbortController();
  readonly #started: Deferred<void> = deferred();
  readonly #finished: Deferred<void> = deferred();
  #state: ServiceState = 'new';

  constructor(name: string) {
    this.name = name;
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** Resolves when the service has stopped, rejects when it has failed. Never leaves an unhandled rejection. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** The work: call `context.ready()`, run until `context.stopping`, clean up, return. A rejection is a failure. */
  protected abstract run(context: RunContext): Promise<void>;

  /** Starts the service and waits until it is ready. @throws ER9001 when it was started or stopped before */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw runtimeError('ER9001', { detail: `${this.name} is ${this.#state}.` });
    this.#become('starting');
    void this.#live();
    await this.#started.promise;
  }

  /** Stops the service and waits until it has ended. @throws ER9002 when it does not end in time */
  async stop(options: StopOptions = {}): Promise<void> {
    switch (this.#state) {
      case 'new':
        this.#end(undefined);
        return;
      case 'stopped':
      case 'failed':
        return;
      case 'starting':
      case 'running':
        this.#become('stopping');
        this.#stopping.abort(new DOMException(`${this.name} is stopping`, 'AbortError'));
        break;
      case 'stopping':
        break;
    }
    if (await this.#endsWithin(options.graceMs ?? 10_000)) return;
    this.#aborted.abort(new DOMException(`${this.name} was aborted`, 'AbortError'));
    if (await this.#endsWithin(options.abortMs ?? 5_000)) return;
    throw runtimeError('ER9002', { detail: `It is ${this.name}.` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #live(): Promise<void> {
    const context: RunContext = {
      ready: () => {
        if (this.#state === 'starting') this.#become('running');
        this.#started.resolve();
      },
      stopping: this.#stopping.signal,
      aborted: this.#aborted.signal,
    };
    try {
      await this.run(context);
      this.#end(undefined);
    } catch (error) {
      this.#end(isConsequence(error, [this.#stopping.signal, this.#aborted.signal]) ? undefined : { error });
    }
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    this.#become(failure === undefined ? 'stopped' : 'failed');
    if (failure === undefined) {
      this.#started.reject(new DOMException(`${this.name} stopped before it was ready`, 'AbortError'));
      this.#finished.resolve();
    } else {
      this.#started.reject(failure.error);
      this.#finished.reject(failure.error);
    }
  }

  async #endsWithin(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, milliseconds, false);
    });
    const ended = this.finished.then(
      () => true as const,
      () => true as const,
    );
    try {
      return await Promise.race([ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #become(state: ServiceState): void {
    if (!serviceTransitions[this.#state].includes(state)) {
      throw new TypeError(`${this.name}: no way from ${this.#state} to ${state}`);
    }
    this.#state = state;
  }
}

/** Whether an error is only the echo of our own abort, also where a library wrapped it as a cause. */
function isConsequence(error: unknown, signals: readonly AbortSignal[]): boolean {
  const reasons = signals.filter((signal) => signal.aborted).map((signal): unknown => signal.reason);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (reasons.includes(at)) return true;
    if (reasons.length > 0 && at.name === 'AbortError') return true;
  }
  return false;
}
