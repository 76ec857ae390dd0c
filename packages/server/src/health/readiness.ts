import type { RelayActivity, ServiceState, SinkStatus } from '@event-runtime/runtime';
import { describeError } from '../cli/render-error.ts';
import type { Configuration } from '../config/configuration.ts';
import { serverError } from '../server-error.ts';
import type { DatabaseView } from './database-view.ts';

/** Why a process is not ready. */
export interface UnreadyReason {
  /** `ER` and four digits; null: it is on its way up or down, nothing is wrong. */
  readonly code: string | null;
  readonly what: string;
  /** What to do; null: nothing. */
  readonly remedy: string | null;
}

/** What `GET /readyz` answers. */
export interface Readiness {
  readonly ready: boolean;
  /** What this process is there for, as it is configured. */
  readonly roles: Configuration['roles'];
  /** The leases that this process holds: `*` reads the WAL for all sinks. Empty and ready: it stands by. */
  readonly holds: readonly string[];
  readonly standby: boolean;
  /** Empty when it is ready. */
  readonly reasons: readonly UnreadyReason[];
  /**
   * What somebody has to mend although it is ready: why the slot is not read, and the table serves instead; which sink
   * takes nothing, and why.
   */
  readonly attention: readonly UnreadyReason[];
}

export interface ReadinessFacts {
  readonly roles: Configuration['roles'];
  readonly parts: ReadonlyArray<{ readonly name: string; readonly state: ServiceState }>;
  readonly view: DatabaseView;
  /** Null: this process is no relay. */
  readonly activity: RelayActivity | null;
  /** The sinks that this process feeds. */
  readonly sinks: readonly SinkStatus[];
}

/**
 * Whether a process does its part, or could. A slot that is missing, being made or lost, or that somebody else reads, is
 * no reason against it: the table serves meanwhile. Neither is a sink that fails: another process would not fare better.
 */
export function readiness({ roles, parts, view, activity, sinks }: ReadinessFacts): Readiness {
  const reasons = [...parts.flatMap(partReason), ...databaseReason(view)];
  const holds = (activity?.leases ?? [])
    .filter(({ held }) => held)
    .map(({ sink, shard }) => (shard === 0 ? sink : `${sink}/${shard}`));
  const ready = reasons.length === 0;
  const trouble = activity?.trouble ?? null;
  return {
    ready,
    roles,
    holds,
    standby: ready && activity !== null && holds.length === 0,
    reasons,
    attention: [...(trouble === null ? [] : [reasonOf(trouble)]), ...sinks.flatMap(sinkReason)],
  };
}

const partReasons: Readonly<Record<ServiceState, ((name: string) => UnreadyReason) | null>> = {
  running: null,
  new: (name) => ({ code: null, what: `${name} is starting`, remedy: null }),
  starting: (name) => ({ code: null, what: `${name} is starting`, remedy: null }),
  stopping: (name) => ({ code: null, what: `${name} is stopping`, remedy: null }),
  stopped: (name) => ({ code: null, what: `${name} is stopped`, remedy: null }),
  failed: (name) => ({ code: null, what: `${name} has failed`, remedy: 'Read the log: `service.failed`.' }),
};

function partReason(part: ReadinessFacts['parts'][number]): UnreadyReason[] {
  const reason = partReasons[part.state];
  return reason === null ? [] : [reason(part.name)];
}

function databaseReason(view: DatabaseView): UnreadyReason[] {
  if (view.state === 'up') return [];
  if (view.state === 'down') return [reasonOf(view.error)];
  const { state, version, known } = view.schema;
  const code = state === 'incompatible' ? 'ER1102' : 'ER1101';
  return [reasonOf(serverError(code, { detail: `It has version ${version}, this program ${known}.` }))];
}

function sinkReason({ sink, trouble, waiting }: SinkStatus): UnreadyReason[] {
  if (trouble === undefined) return [];
  const event =
    waiting === undefined ? '' : ` Event ${waiting.eventId} waits since ${waiting.since.toISOString()}.`;
  const { code, what, remedy } = reasonOf(trouble);
  if (code !== null) return [{ code, what: `Sink ${sink}: ${what}${event}`, remedy }];
  return [
    {
      code: 'ER1316',
      what: `Sink ${sink} does not take its batch.${event}`,
      remedy: 'Read the log: `relay.sink.retry`.',
    },
  ];
}

/** The meaning alone for an error of ours, no cause: a driver's text may name hosts and roles, and anybody may ask. */
function reasonOf(error: unknown): UnreadyReason {
  const { code, meaning, detail, remedy } = describeError(error);
  if (code === null) return { code, what: 'The database refused to answer.', remedy: 'Read the log.' };
  return { code, what: detail === null ? meaning : `${meaning} ${detail}`, remedy };
}
