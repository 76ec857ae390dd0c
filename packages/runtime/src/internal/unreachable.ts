import { type EventRuntimeError, isEventRuntimeError } from '@event-runtime/outbox';
import { runtimeError } from '../errors/codes.ts';
import { isPoolersRefusal, poolerError } from './pooler.ts';
import { sqlState } from './sql-state.ts';

const authority =
  "Name the authority that signed the server's certificate: `?sslmode=verify-full&sslrootcert=/path/ca.pem` at the end of DATABASE_URL.";
const expired = "Renew the server's certificate (the old one is over), or look at this machine's clock.";
const hostUnknown = 'Correct the host in DATABASE_URL: nobody here knows one of that name.';

/** What to do, by SQLSTATE or by the code of Node's error, where that is more than the catalogue says. */
const remedies: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '28P01':
      'Correct the user or the password in DATABASE_URL (a password is percent-encoded: / is %2F, @ is %40).',
    '28000':
      'Create the role, or let it log in from this machine: a line in pg_hba.conf. If that takes TLS only (`hostssl`), add `?sslmode=verify-full` to DATABASE_URL.',
    '3D000':
      "Run `CREATE DATABASE <name> TEMPLATE template0 ENCODING 'UTF8';`, or correct the name in DATABASE_URL.",
    '42501': 'Run `GRANT CONNECT ON DATABASE <name> TO <role>;`.',
    '53300':
      'End connections that nobody needs (pg_stat_activity says whose they are), or raise max_connections.',
    '57P03': 'Wait a moment: the server is starting, stopping or recovering.',
    ENOTFOUND: hostUnknown,
    EAI_AGAIN: hostUnknown,
    DEPTH_ZERO_SELF_SIGNED_CERT: authority,
    SELF_SIGNED_CERT_IN_CHAIN: authority,
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: authority,
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: authority,
    ERR_TLS_CERT_ALTNAME_INVALID:
      "Give the host in DATABASE_URL by a name that the server's certificate is for: what it says has them.",
    CERT_HAS_EXPIRED: expired,
    CERT_NOT_YET_VALID: expired,
  }),
);

/** Said by the driver, without a code. */
const withoutTls = /server does not support SSL/;

/**
 * The coded form of what became of an attempt to connect: what was said, and what to do about just that.
 *
 * @returns ER1004 where a pooler said it, else ER1001; a coded error as it is
 */
export function unreachable(cause: unknown): EventRuntimeError {
  if (isEventRuntimeError(cause)) return cause;
  if (isPoolersRefusal(cause)) return poolerError(cause);
  const said = messageOf(cause);
  const remedy = remedyOf(cause);
  return runtimeError('ER1001', {
    detail: `It says: ${said}.`,
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function remedyOf(cause: unknown): string | undefined {
  if (withoutTls.test(messageOf(cause))) {
    return 'Take sslmode out of DATABASE_URL, or switch TLS on in the server (`ssl = on`).';
  }
  // The driver reads the files that the URL names before it connects.
  if (cause instanceof Error && Reflect.get(cause, 'syscall') === 'open') {
    return 'Correct the path in DATABASE_URL (sslrootcert, sslcert or sslkey), or let this program read the file.';
  }
  return remedies.get(String(sqlState(cause)));
}

/** Whether a server answered an attempt to connect with no: nothing that was asked of it had a part in that. */
export function isRefusal(cause: unknown): boolean {
  const state = String(sqlState(cause));
  return ['28P01', '28000', '3D000', '53300', '57P03'].includes(state);
}

/** In words; Node tries several addresses, and says of each what became of it. */
export function messageOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(messageOf).join(', ');
  return cause instanceof Error ? cause.message : String(cause);
}
