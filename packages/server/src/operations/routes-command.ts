import {
  connectDirect,
  defaultSubject,
  findEvent,
  type OutboxEvent,
  RoutesTo,
  type Routing,
  SubjectTemplate,
} from '@event-runtime/runtime';
import type { CommandContext } from '../cli/command-context.ts';
import { type ExitCode, exitCode } from '../cli/exit-code.ts';
import { nameOfSink, type SinkSettings } from '../config/configured-sink.ts';
import { type GivenSettings, loadConfiguration } from '../config/load-configuration.ts';
import type { SettingPath } from '../config/settings-table.ts';
import { serverError } from '../server-error.ts';
import { described, type EventDescription, flagsOf, uuid } from './described-event.ts';
import { routeSettingPaths } from './relay-setting-paths.ts';
import { table } from './table.ts';

export interface RoutesTestOptions extends GivenSettings, EventDescription {
  /** Id of an event of the outbox; undefined: one that is described. */
  readonly event?: string | undefined;
  /** Id of the replay that brings the event. */
  readonly replay?: string | undefined;
}

/** What is told of one sink; `--json` prints it. */
interface Destination {
  readonly sink: string;
  readonly goes: boolean;
  /** Its place in the list of routes; null: no route leads there, or there are none. */
  readonly route: number | null;
  /** For NATS. */
  readonly subject: string | null;
  /** Whether a transform gives other bytes. */
  readonly changed: boolean;
  /** What a function of the route threw. */
  readonly error: string | null;
}

/**
 * `event-runtime routes test`: where an event would go. One of the outbox by its id, or one that is described; the latter
 * asks no database.
 *
 * @returns 1 where a function of a route threw
 * @throws ER5001, ER4017 there is no such event
 */
export async function routesTestCommand(
  context: CommandContext,
  options: RoutesTestOptions,
): Promise<ExitCode> {
  refuseContradictions(options);
  const only: SettingPath[] = [...routeSettingPaths];
  if (options.event !== undefined) only.push('databaseUrl');
  const { env, signal, terminal, json } = context;
  const { databaseUrl, sinks, routes } = await loadConfiguration({ given: options, env, signal, only });
  const found =
    options.event === undefined
      ? described(options)
      : await stored(options.event, { connectionString: databaseUrl, signal });
  const { replay } = options;
  const event: OutboxEvent = replay === undefined ? found : { ...found, replay: replay.toLowerCase() };
  const destinations = sinks.map((sink): Destination => {
    const routing = new RoutesTo(nameOfSink(sink), routes).of(event);
    return { ...destination(routing, sink, event), ...(routes === undefined ? { route: null } : {}) };
  });
  if (json) {
    terminal.out(JSON.stringify({ event: options.event ?? null, type: event.eventType, destinations }));
    return codeOf(destinations);
  }
  const rows = destinations.map((each) => [
    each.sink,
    each.error === null ? yesOrNo(each.goes) : 'fails',
    each.route === null ? '' : `routes[${each.route}]`,
    each.subject ?? '',
    each.error ?? (each.changed ? 'with another payload' : ''),
  ]);
  for (const line of table(['sink', 'goes there', 'by', 'subject', ''], rows)) terminal.out(line);
  return codeOf(destinations);
}

/** For a build that tries the routes: an event that would be a dead letter, or wait, is a failure. */
function codeOf(destinations: readonly Destination[]): ExitCode {
  return destinations.some(({ error }) => error !== null) ? exitCode.failed : exitCode.ok;
}

/** An event has an id, or a description: both together would leave one of them unheard. */
function refuseContradictions({ event, replay, ...description }: RoutesTestOptions): void {
  const given = flagsOf(description);
  if (event !== undefined && given.length > 0) {
    throw serverError('ER5001', {
      detail: `An event id was given, and ${given.join(', ')}.`,
      remedy: 'Give the id of an event, or describe one.',
    });
  }
  if (replay === undefined || uuid.test(replay)) return;
  throw serverError('ER5001', { detail: `--replay is ${JSON.stringify(replay)}.`, remedy: 'Give a UUID.' });
}

function yesOrNo(goes: boolean): string {
  return goes ? 'yes' : 'no';
}

function destination(routing: Routing, sink: SinkSettings, event: OutboxEvent): Destination {
  const nothing = {
    sink: nameOfSink(sink),
    goes: false,
    route: null,
    subject: null,
    changed: false,
    error: null,
  };
  switch (routing.type) {
    case 'elsewhere':
      return nothing;
    case 'failed':
      return { ...nothing, route: routing.route, error: `${routing.error.name}: ${routing.error.message}` };
    case 'there': {
      const { route, subject } = routing;
      const template =
        sink.type === 'nats' ? new SubjectTemplate(subject ?? sink.subject ?? defaultSubject) : undefined;
      return {
        ...nothing,
        ...{ goes: true, route, subject: template?.of(event) ?? null },
        changed: !routing.event.payload.equals(event.payload),
      };
    }
    default:
      routing satisfies never;
      throw new TypeError('an unknown routing');
  }
}

async function stored(
  eventId: string,
  options: { readonly connectionString: string; readonly signal: AbortSignal },
): Promise<OutboxEvent> {
  if (!uuid.test(eventId)) {
    throw serverError('ER5001', {
      detail: `${JSON.stringify(eventId)} is no event id.`,
      remedy: 'Give the UUID of an event, or describe one: `event-runtime routes test --type order.placed`.',
    });
  }
  await using connection = await connectDirect({ ...options, applicationName: 'event-runtime routes' });
  const found = await findEvent(connection.client, eventId);
  if (found === undefined) throw serverError('ER4017', { detail: `It is ${eventId}.` });
  return found.event;
}
