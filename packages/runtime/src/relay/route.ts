import type { OutboxEvent } from '../log/outbox-event.ts';
import { producerHeaders } from '../sinks/envelope.ts';

/** `*` stands for any characters, also none; a list: one of them. */
export type Glob = string | readonly string[];

/** What filters and transforms are given. */
export interface RoutableEvent {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly tenant: string;
  readonly ecosystem: string | null;
  readonly entityKey: string | null;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly source: string | null;
  /** The producer's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it was recorded: RFC 3339 with microseconds, UTC. */
  readonly time: string;
  /** The replay by which it is handed over once more; null: it is handed over as it happened. */
  readonly replay: string | null;
  /** Byte for byte as emitted. */
  readonly payload: Buffer;
  /** The payload, parsed; a number above 2⁵³ loses digits. */
  readonly json: () => unknown;
}

/** Which events go to which sinks, and as what. All conditions that are given must hold. */
export interface Route {
  /** Names of sinks. */
  readonly to: readonly string[];
  readonly type?: Glob;
  readonly tenant?: Glob;
  /** An event without one matches no glob. */
  readonly ecosystem?: Glob;
  /** By the name of a producer's header; an event without it does not match. */
  readonly header?: Readonly<Record<string, Glob>>;
  /** Asked last; true lets the event pass. Must answer at once: no promise. */
  readonly filter?: (event: RoutableEvent) => boolean;
  /** JSON that goes in place of the payload, as a text or as bytes. Must answer at once: no promise. */
  readonly transform?: (event: RoutableEvent) => string | Uint8Array;
  /** Where in the destination, in place of what the sink says: for NATS a template of subjects. */
  readonly subject?: string;
  /**
   * What an exception of `filter` or `transform` means. `dead-letter`: the event is kept as one, and later ones go on.
   * `retry`: it is tried again after a second, then twice as long each time, up to half a minute, and later ones of its
   * entity wait. Default `dead-letter`.
   */
  readonly onError?: 'dead-letter' | 'retry';
}

/** What the routes say of an event and a sink. */
export type Routing =
  /** No route leads there. */
  | { readonly type: 'elsewhere' }
  | { readonly type: 'there'; readonly route: number; readonly event: OutboxEvent; readonly subject?: string }
  /** A function of the route threw. */
  | {
      readonly type: 'failed';
      readonly route: number;
      readonly error: Error;
      readonly onError: 'dead-letter' | 'retry';
    };

/** The routes to one sink, made ready. */
export class RoutesTo {
  readonly #routes: ReadonlyArray<{ readonly at: number; readonly route: Route; readonly matches: Matcher }>;

  /** @param routes all there are, the first that matches counting; undefined: everything goes everywhere */
  constructor(sink: string, routes: readonly Route[] | undefined) {
    const all = routes ?? [{ to: [sink] }];
    this.#routes = all.flatMap((route, at) =>
      route.to.includes(sink) ? [{ at, route, matches: matcher(route) }] : [],
    );
  }

  /** Templates of the routes that name one. */
  get subjects(): readonly string[] {
    return this.#routes.flatMap(({ route }) => (route.subject === undefined ? [] : [route.subject]));
  }

  /** Whether there is a route that names none, so that the sink's own counts. */
  get ownSubject(): boolean {
    return this.#routes.some(({ route }) => route.subject === undefined);
  }

  /** Where an event goes. */
  of(event: OutboxEvent): Routing {
    let routable: RoutableEvent | undefined;
    for (const { at, route, matches } of this.#routes) {
      if (!matches(event)) continue;
      const { filter, transform, subject, onError = 'dead-letter' } = route;
      try {
        if (filter !== undefined && !passes(filter, (routable ??= routableOf(event)))) continue;
        const payload =
          transform === undefined ? undefined : bytesOf(transform((routable ??= routableOf(event))));
        return {
          type: 'there',
          route: at,
          event: payload === undefined ? event : { ...event, payload },
          ...(subject === undefined ? {} : { subject }),
        };
      } catch (cause) {
        return { type: 'failed', route: at, error: errorOf(cause), onError };
      }
    }
    return { type: 'elsewhere' };
  }
}

type Matcher = (event: OutboxEvent) => boolean;

function matcher({ type, tenant, ecosystem, header }: Route): Matcher {
  const tests: Matcher[] = [];
  const must = (glob: Glob | undefined, value: (event: OutboxEvent) => string | null): void => {
    if (glob === undefined) return;
    const globs = (typeof glob === 'string' ? [glob] : glob).map((one) => one.split('*'));
    tests.push((event) => {
      const text = value(event);
      return text !== null && globs.some((parts) => matchesGlob(text, parts));
    });
  };
  must(type, (event) => event.eventType);
  must(tenant, (event) => event.tenantId);
  must(ecosystem, (event) => event.ecosystem);
  for (const [name, glob] of Object.entries(header ?? {})) {
    must(glob, (event) => {
      const headers = producerHeaders(event);
      return Object.hasOwn(headers, name) ? (headers[name] ?? null) : null;
    });
  }
  return (event) => tests.every((test) => test(event));
}

/** Each part in turn, at the first place where it is: no text takes long, whatever its producer wrote. */
function matchesGlob(text: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false;
  const end = text.length - last.length;
  let from = first.length;
  for (const part of rest) {
    const at = text.indexOf(part, from);
    if (at === -1 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

function routableOf(event: OutboxEvent): RoutableEvent {
  return {
    id: event.eventId,
    type: event.eventType,
    version: event.eventVersion,
    tenant: event.tenantId,
    ecosystem: event.ecosystem,
    entityKey: event.entityKey,
    correlationId: event.correlationId,
    causationId: event.causationId,
    source: event.sourceService,
    headers: producerHeaders(event),
    time: event.recordedAt.replace(' ', 'T').replace(/\+00$/, 'Z'),
    replay: event.replay ?? null,
    // A copy: the other sinks get the same event.
    payload: Buffer.from(event.payload),
    json: () => JSON.parse(event.payload.toString('utf8')) as unknown,
  };
}

function passes(filter: NonNullable<Route['filter']>, event: RoutableEvent): boolean {
  const answer: unknown = filter(event);
  if (typeof answer === 'boolean') return answer;
  throw new TypeError(`the filter gave ${describe(answer)}, not true or false`);
}

/** Bytes that are no UTF-8, or begin with a byte order mark, are no JSON (RFC 8259, 8.1): they would be sent as they are. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws TypeError no text and no bytes, or no JSON: what is delivered is announced as that */
function bytesOf(answer: unknown): Buffer {
  if (typeof answer !== 'string' && !(answer instanceof Uint8Array)) {
    throw new TypeError(`the transform gave ${describe(answer)}, not a text or bytes`);
  }
  // A copy: what it gave may be a view of something that it uses again.
  const bytes = Buffer.from(answer);
  try {
    JSON.parse(utf8.decode(bytes));
  } catch {
    throw new TypeError(`the transform gave ${bytes.length} bytes that are no JSON`);
  }
  return bytes;
}

/** Without its value: that may be data. */
function describe(answer: unknown): string {
  if (answer === null) return 'null';
  if (typeof answer !== 'object' || !('then' in answer)) return `a value of type ${typeof answer}`;
  // If it is rejected, nobody else hears of it, and the process would end.
  Promise.resolve(answer).catch(() => undefined);
  return 'a promise';
}

function errorOf(cause: unknown): Error {
  if (cause instanceof Error) return cause;
  return new Error(typeof cause === 'string' ? cause : `a value of type ${typeof cause} was thrown`);
}
