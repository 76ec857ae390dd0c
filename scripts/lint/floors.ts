import { dirname, join } from 'node:path/posix';

/** One package of the workspace and what its product code may import. */
interface PackageRule {
  /** Public entries of our own packages that may be imported. Third-party packages are knip's business. */
  readonly ours: readonly string[];
  /** Whether third-party packages may be imported at all. */
  readonly thirdParty: boolean;
}

/** Package boundaries: docs/architecture.md. */
const packages: Readonly<Record<string, PackageRule>> = {
  outbox: { ours: [], thirdParty: false },
  runtime: { ours: ['@event-runtime/outbox'], thirdParty: true },
  pcm: { ours: ['@event-runtime/runtime'], thirdParty: true },
  console: { ours: [], thirdParty: true },
  simulators: { ours: [], thirdParty: true },
  server: {
    ours: [
      '@event-runtime/outbox',
      '@event-runtime/runtime',
      '@event-runtime/runtime/testing',
      '@event-runtime/pcm',
      '@event-runtime/simulators',
    ],
    thirdParty: true,
  },
};

interface Room {
  readonly floor: number;
  /** Rooms of the same floor that may be imported; one way only, so that no circle can form. */
  readonly beside?: readonly string[];
  /** Third-party packages that this room must not know. */
  readonly unknown?: readonly string[];
}

/** The rooms of packages/runtime/src from the ground up. An import may only point downwards. */
const rooms: Readonly<Record<string, Room>> = {
  errors: { floor: 1 },
  internal: { floor: 1, beside: ['errors'] },
  telemetry: { floor: 2 },
  lifecycle: { floor: 2, beside: ['telemetry'] },
  replication: { floor: 3 },
  schema: { floor: 3 },
  log: { floor: 4 },
  // A sink is handed events of the log; it must not know where they were stored.
  sinks: { floor: 4, beside: ['log'], unknown: ['pg'] },
  tenancy: { floor: 4 },
  audit: { floor: 4, beside: ['tenancy'] },
  relay: { floor: 5 },
  streams: { floor: 5 },
  worker: { floor: 6 },
  webhooks: { floor: 6 },
  'dead-letters': { floor: 6, beside: ['webhooks'] },
  // For tests, dev and demo: may import all, and no room may import it.
  testing: { floor: 7 },
};

interface Place {
  readonly package: string;
  /** Path below the package's src folder. */
  readonly path: string;
}

/** The first folder below `src`; for a file beside `src/index.ts` its name. */
function roomOf(at: Place): string {
  return at.path.split('/')[0] ?? '';
}

function place(file: string): Place | undefined {
  const match = /(?:^|\/)packages\/([^/]+)\/src\/(.+)$/.exec(file);
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { package: match[1], path: match[2] };
}

/** Whether a file is product code: below a package's src folder, neither a test nor a test suite. */
export function isProductCode(file: string): boolean {
  return place(file) !== undefined && !/\.(test|suite|bench)\.ts$/.test(file);
}

/** Whether a file is a package's public door, the only kind of file that may re-export. */
export function isEntry(file: string): boolean {
  return /(?:^|\/)packages\/[^/]+\/src\/(testing\/)?index\.ts$/.test(file);
}

/** `a/b` of `a/b/c`, `@a/b` of `@a/b/c`: the package that a bare specifier names. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function refuseBare(from: Place, specifier: string): string | undefined {
  if (specifier.startsWith('node:')) return undefined;
  const rule = packages[from.package];
  if (rule === undefined) return `packages/${from.package} is not in scripts/lint/floors.ts: add its rule.`;
  const ours = specifier.startsWith('@event-runtime/') || packageOf(specifier) === 'event-runtime';
  if (ours) {
    if (rule.ours.includes(specifier)) return undefined;
    return `packages/${from.package} may import ${rule.ours.join(', ') || 'no package of ours'}, not ${specifier}.`;
  }
  if (!rule.thirdParty) {
    return `packages/${from.package} has no dependencies: ${specifier} must not be imported.`;
  }
  const room = from.package === 'runtime' ? rooms[roomOf(from)] : undefined;
  if (room?.unknown?.includes(packageOf(specifier)) === true) {
    return `${roomOf(from)}/ must not know ${packageOf(specifier)}.`;
  }
  return undefined;
}

function refuseRoom(from: Place, to: Place): string | undefined {
  // Files beside src/index.ts belong to no room: they put the rooms together.
  if (!from.path.includes('/')) return undefined;
  const source = roomOf(from);
  const target = roomOf(to);
  if (source === target) return undefined;
  const upper = rooms[source];
  const lower = rooms[target];
  if (upper === undefined || lower === undefined) {
    return `${upper === undefined ? source : target} has no floor yet: give it one in scripts/lint/floors.ts.`;
  }
  if (lower.floor < upper.floor || upper.beside?.includes(target) === true) return undefined;
  return `${source}/ (floor ${upper.floor}) must not import ${target}/ (floor ${lower.floor}): imports point downwards.`;
}

/**
 * Why an import is not allowed; undefined when it is.
 *
 * @param file path of the importing file, with forward slashes; absolute or below the repository
 * @param specifier what stands behind `from`
 */
export function refusal(file: string, specifier: string): string | undefined {
  const from = place(file);
  if (from === undefined || !isProductCode(file)) return undefined;
  if (!specifier.startsWith('.')) return refuseBare(from, specifier);
  const target = join(dirname(file), specifier);
  const to = place(target);
  if (to === undefined) {
    // Data beside the sources (package.json, migrations) is no module.
    if (/\.[cm]?[jt]sx?$/.test(specifier)) return `${specifier} is outside of the package's src folder.`;
    return undefined;
  }
  if (to.package !== from.package) {
    return `packages/${to.package} is another package: import its public entry, not its files.`;
  }
  if (to.path.endsWith('index.ts')) {
    return `${specifier} is a package's public entry: inside of the package import the file itself.`;
  }
  return from.package === 'runtime' ? refuseRoom(from, to) : undefined;
}
