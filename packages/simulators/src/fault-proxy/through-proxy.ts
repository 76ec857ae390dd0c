/** Parameters by which a PostgreSQL URL names a host beside the one that stands in its place. */
const otherHosts = ['host', 'hostaddr', 'port'] as const;

/**
 * A connection string with 127.0.0.1 and a port in the place of its own host and port.
 *
 * @throws TypeError for what is no URL with a host, and where a parameter would lead past the proxy
 */
export function throughProxy(connectionString: string, port: number): string {
  const url = new URL(connectionString);
  for (const name of otherHosts) {
    if (url.searchParams.has(name)) throw new TypeError(`the parameter ${name} leads past the proxy`);
  }
  if (url.hostname === '') throw new TypeError('the connection string names no host');
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return url.href;
}
