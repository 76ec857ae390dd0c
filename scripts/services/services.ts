import { join } from 'node:path';
import { natsServer } from './nats-server.ts';
import { node20 } from './node20.ts';
import { obtain } from './obtain.ts';
import { pgClient } from './pg-client.ts';
import { pgbouncer } from './pgbouncer.ts';
import type { Found, Missing, Service } from './service.ts';

const services: readonly Service[] = [natsServer, node20, pgbouncer, pgClient];

/** Where services are kept; git-ignored. */
const tools = join(import.meta.dirname, '../../.tools');

function announce(service: Service, way: string): void {
  process.stderr.write(`  obtaining ${service.name}: ${way} …\n`);
}

/** Looks for every service, and fetches what is missing. Says on stderr what it fetches. */
export async function obtainServices(): Promise<readonly (Found | Missing)[]> {
  const results: (Found | Missing)[] = [];
  for (const service of services) {
    results.push(await obtain(service, { tools, onAttempt: announce }));
  }
  return results;
}

/** The path of a service that is there already; fetches nothing. */
export async function findService(name: string): Promise<string | undefined> {
  const service = services.find((candidate) => candidate.name === name);
  if (service === undefined) throw new TypeError(`no such service: ${name}`);
  return (await obtain(service, { tools, install: false })).path;
}
