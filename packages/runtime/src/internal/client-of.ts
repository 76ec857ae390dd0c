import pg from 'pg';
import { unreachable } from './unreachable.ts';

/** A client that is not connected yet. @throws ER1001 a file that the URL names (`sslrootcert`) cannot be read */
export function clientOf(config: pg.ClientConfig): pg.Client {
  try {
    return new pg.Client(config);
  } catch (cause) {
    throw unreachable(cause);
  }
}
