/** What the configuration of another relay is made of. No secret: the password is taken from the environment there. */
export interface ForeignRelaySite {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** libpq's word; undefined: nothing was said. */
  readonly sslmode: string | undefined;
  /** Another one than ours: a slot has one reader. */
  readonly slot: string;
}

/** The variable that stands for the password in what is printed. */
export const passwordVariable = 'DATABASE_PASSWORD';

/** Takes them from a connection string; a name of a slot has 63 bytes at most. */
export function foreignRelaySite(
  connectionString: string,
  { slot, relay }: { readonly slot: string; readonly relay: string },
): ForeignRelaySite {
  const url = new URL(connectionString);
  const host = url.hostname === '' ? (url.searchParams.get('host') ?? 'localhost') : url.hostname;
  const user = decodeURIComponent(url.username);
  const database = decodeURIComponent(url.pathname.slice(1));
  return {
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port === '' ? 5432 : url.port),
    database: database === '' ? user : database,
    user,
    sslmode: url.searchParams.get('sslmode') ?? undefined,
    slot: `${slot.slice(0, 62 - relay.length)}_${relay}`,
  };
}
