import { EgressGuard, SecretBox } from '@event-runtime/runtime';
import { serverError } from '../server-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What the service is told by its environment. */
export interface Settings {
  /** `DATABASE_URL`: a direct connection, of a role with REPLICATION that may act for event_runtime_service and _owner. */
  readonly databaseUrl: string;
  /** `EVENT_RUNTIME_SLOT`: name of the replication slot. Default `event_runtime`. */
  readonly slot: string;
  /** `EVENT_RUNTIME_SECRET_KEY`: keys of 32 bytes in base64, separated by commas; the first one seals, all open. */
  readonly secretKeys: readonly string[];
  /** `EVENT_RUNTIME_EGRESS_ALLOW`: networks that webhooks may reach although they are not public. Default none. */
  readonly egressAllow: readonly string[];
  /** `EVENT_RUNTIME_WEBHOOK_RETRIES`: delays before each repetition (`5s,5m,2h`). Default: see the webhooks guide. */
  readonly retryDelaysMs: readonly number[] | undefined;
  /** `EVENT_RUNTIME_LEASE`: after how long a replica without a sign of life is replaced (`4s`). Default: see RelayOptions. */
  readonly leaseMs: number | undefined;
  /** `EVENT_RUNTIME_LOG_LEVEL`: debug, info, warn, error or silent. Default info. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const;

/** Reads and checks the settings. @throws ER5001 naming the setting and the value seen */
export function readSettings(env: Environment): Settings {
  const secretKeys = list(env['EVENT_RUNTIME_SECRET_KEY']);
  if (secretKeys.length === 0) {
    throw serverError('ER5001', {
      detail: 'EVENT_RUNTIME_SECRET_KEY is missing: webhook secrets are kept encrypted under it.',
      remedy: 'Make one with `openssl rand -base64 32`, keep it where you keep secrets, and set it.',
    });
  }
  // Made only to be checked: it throws ER5001, without the value.
  void new SecretBox(secretKeys);
  const slot = env['EVENT_RUNTIME_SLOT'] ?? 'event_runtime';
  if (!/^[a-z0-9_]{1,63}$/.test(slot)) {
    throw serverError('ER5001', {
      detail: `EVENT_RUNTIME_SLOT is ${JSON.stringify(slot)}; a slot's name has 1 to 63 of a-z, 0-9 and _.`,
    });
  }
  const level = env['EVENT_RUNTIME_LOG_LEVEL'] ?? 'info';
  const logLevel = levels.find((known) => known === level);
  if (logLevel === undefined) {
    throw serverError('ER5001', {
      detail: `EVENT_RUNTIME_LOG_LEVEL is ${JSON.stringify(level)}; it is one of ${levels.join(', ')}.`,
    });
  }
  const retries = list(env['EVENT_RUNTIME_WEBHOOK_RETRIES']);
  return {
    databaseUrl: databaseUrl(env),
    slot,
    secretKeys,
    egressAllow: list(env['EVENT_RUNTIME_EGRESS_ALLOW']).map(network),
    retryDelaysMs: retries.length === 0 ? undefined : retries.map(duration),
    leaseMs: env['EVENT_RUNTIME_LEASE'] === undefined ? undefined : duration(env['EVENT_RUNTIME_LEASE']),
    logLevel,
  };
}

/** `DATABASE_URL`. @throws ER5001 when it is missing or no URL of PostgreSQL */
export function databaseUrl(env: Environment): string {
  const url = env['DATABASE_URL'] ?? '';
  if (/^postgres(ql)?:\/\//.test(url) && URL.canParse(url)) return url;
  throw serverError('ER5001', {
    // Never the value: there is a password in it.
    detail: url === '' ? 'DATABASE_URL is missing.' : 'DATABASE_URL is not a URL of PostgreSQL.',
    remedy:
      'Set DATABASE_URL=postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F).',
  });
}

function network(text: string): string {
  try {
    void new EgressGuard({ allow: [text] });
    return text;
  } catch (cause) {
    throw serverError('ER5001', {
      detail: `EVENT_RUNTIME_EGRESS_ALLOW has ${JSON.stringify(text)}; a network is 10.0.0.0/8 or ::1.`,
      cause,
    });
  }
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const longestDelayMs = 30 * 86_400_000;

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function duration(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text);
  const unit = units[match?.[2] ?? ''];
  const milliseconds = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!(milliseconds <= longestDelayMs)) {
    throw serverError('ER5001', {
      detail: `EVENT_RUNTIME_WEBHOOK_RETRIES has ${JSON.stringify(text)}; a delay is a number with ms, s, m or h, at most 720h.`,
    });
  }
  return milliseconds;
}
