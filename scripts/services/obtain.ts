import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from './on-path.ts';
import type { Found, Missing, Refusal, Service } from './service.ts';

export interface ObtainOptions {
  /** Where things are installed; nothing is written elsewhere. */
  readonly tools: string;
  /** False: only look, fetch nothing. Default true. */
  readonly install?: boolean;
  /** Called before each way that fetches something: it may take a while. */
  readonly onAttempt?: (service: Service, way: string) => void;
}

/**
 * Finds a program, or fetches it into `.tools/`: environment variable, PATH, what was fetched before,
 * then each of the service's ways in turn. Every candidate's version is checked by running it.
 *
 * A variable that is set but does not fit ends the search: somebody meant that very program.
 */
export async function obtain(service: Service, options: ObtainOptions): Promise<Found | Missing> {
  const refused: Refusal[] = [];
  const attempt = async (way: string, candidate: () => Promise<string>): Promise<Found | undefined> => {
    try {
      const path = await candidate();
      return { service, path, version: await service.check(path), way, refused };
    } catch (error) {
      refused.push({ way, reason: error instanceof Error ? error.message : String(error) });
      return undefined;
    }
  };

  const named = process.env[service.variable];
  if (named !== undefined && named !== '') {
    const found = await attempt(service.variable, () => Promise.resolve(named));
    return found ?? { service, path: undefined, refused };
  }
  refused.push({ way: service.variable, reason: 'not set' });

  for (const path of await onPath(service.program)) {
    const found = await attempt(`PATH (${path})`, () => Promise.resolve(path));
    if (found !== undefined) return found;
  }

  const folder = join(options.tools, service.name);
  const cached = await attempt('.tools', () => Promise.resolve(join(folder, 'bin', service.program)));
  if (cached !== undefined) return cached;

  for (const way of service.ways) {
    if (options.install === false) continue;
    options.onAttempt?.(service, way.name);
    await mkdir(join(folder, 'bin'), { recursive: true });
    const found = await attempt(way.name, () => way.obtain(folder));
    if (found !== undefined) return found;
  }
  return { service, path: undefined, refused };
}
