/** Where the proxy passes connections on to. */
export interface ProxyTarget {
  /** A name or an address; a name is looked up for each connection. */
  readonly host: string;
  readonly port: number;
}

/** @throws TypeError for a URL that does not name host and port */
export function targetOf(target: ProxyTarget | URL): ProxyTarget {
  if (!(target instanceof URL)) return target;
  const { hostname, port } = target;
  if (hostname === '' || port === '') throw new TypeError('the URL does not name host and port');
  // A URL writes an IPv6 address in brackets, which a socket does not know.
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}
