import type { Limits } from './message-size.ts';

/** Who says a limit: the server its own, the stream what it was made with. */
export interface LimitSources {
  /**
   * Asked over a connection of its own: one that is there is not told of a change, and the server keeps it to the limit
   * that it began with. Undefined: there is none.
   */
  readonly server: () => Promise<number | undefined>;
  /** Asked over the connection that is there. Undefined: there is none. */
  readonly stream: () => Promise<number | undefined>;
}

type Source = keyof LimitSources;

/** So long an answer holds for any message, in milliseconds: a connection to the server has its price. */
const holdMs: Readonly<Record<Source, number>> = { server: 30_000, stream: 1_000 };

/** Milliseconds between two questions, where an answer did not come. */
const askAgainMs = 1_000;

/**
 * The limits that a server and its stream have for a message. They may change while a connection is there, and a message is
 * to be given up by no limit that has not been asked for lately. Nothing waits for the answer but the message.
 */
export class KnownLimits {
  readonly #sources: LimitSources;
  readonly #known: Record<Source, number | undefined>;
  readonly #toldAt: Record<Source, number>;
  readonly #askedAt: Record<Source, number>;
  readonly #asking = new Set<Source>();
  /** By the message's id: since when it waits for an answer. Whatever comes later is one, however long the message then waits. */
  readonly #heldAt = new Map<string, number>();
  #outdated = false;
  #trouble: Error | undefined;

  /**
   * @param limits as they were when the connection was made
   * @param options.at when that was, by `performance.now()`
   */
  constructor(limits: Limits, { at, sources }: { readonly at: number; readonly sources: LimitSources }) {
    this.#sources = sources;
    this.#known = { ...limits };
    this.#toldAt = { server: at, stream: at };
    this.#askedAt = { server: at, stream: at };
  }

  /** As they were told the last time. */
  get known(): Limits {
    return this.#known;
  }

  /** Those by which a message may be given up now: told lately, or asked for since it waits. @param id of the message */
  confirmedFor(id: string): Limits {
    return { server: this.#confirmed('server', id), stream: this.#confirmed('stream', id) };
  }

  /** Whether the server has another limit than the connection began with: it takes another connection to go by that. */
  get outdated(): boolean {
    return this.#outdated;
  }

  /** Why the last question has no answer; undefined: it has, or there was none. */
  get trouble(): Error | undefined {
    return this.#trouble;
  }

  /** Asks anew for the limits that a message of so many bytes is above, beside everything else. */
  ask(id: string, bytes: number): void {
    if (!this.#heldAt.has(id)) this.#heldAt.set(id, performance.now());
    for (const source of ['stream', 'server'] as const) {
      const limit = this.#known[source];
      if (limit === undefined || bytes <= limit || this.#confirmed(source, id) !== undefined) continue;
      if (this.#asking.has(source) || performance.now() - this.#askedAt[source] < askAgainMs) continue;
      this.#asking.add(source);
      void this.#askFor(source).finally(() => this.#asking.delete(source));
    }
  }

  /** The message waits no more. */
  release(id: string): void {
    this.#heldAt.delete(id);
  }

  #confirmed(source: Source, id: string): number | undefined {
    const toldAt = this.#toldAt[source];
    const heldAt = this.#heldAt.get(id) ?? Number.POSITIVE_INFINITY;
    return toldAt >= heldAt || performance.now() - toldAt < holdMs[source] ? this.#known[source] : undefined;
  }

  /** Never rejects. */
  async #askFor(source: Source): Promise<void> {
    const at = performance.now();
    this.#askedAt[source] = at;
    try {
      const limit = await this.#sources[source]();
      this.#trouble = undefined;
      // Over the connection that is there nothing may be sent by the new one.
      if (source === 'server' && limit !== this.#known.server) this.#outdated = true;
      else [this.#known[source], this.#toldAt[source]] = [limit, at];
    } catch (error) {
      this.#trouble = error instanceof Error ? error : new Error(String(error));
    }
  }
}
