import definitions from '@octokit/webhooks-examples' with { type: 'json' };
import { type SamplePayload, samplePayload } from './sample-payload.ts';

/** One entry of `@octokit/webhooks-examples`, as far as it is read here. */
interface Definition {
  readonly name: string;
  readonly examples: readonly Example[];
}

/** One payload of GitHub, as far as its key is made of it. */
export interface Example {
  readonly action?: string;
  readonly repository?: { readonly full_name: string };
  readonly organization?: { readonly login: string };
  readonly installation?: { readonly id: number };
  readonly sender?: { readonly login: string };
  readonly [part: string]: unknown;
}

/** The things of GitHub that have a life of their own, the narrowest first. */
const subjects = [
  'pull_request',
  'issue',
  'discussion',
  'release',
  'check_suite',
  'deployment',
  'workflow_run',
  'package',
  'milestone',
  'project_card',
  'project',
  'team',
] as const;

/**
 * Every example payload of the npm package `@octokit/webhooks-examples`, each as one event
 * `github.<event>.<action>` (without an action: `github.<event>`), in the package's order.
 *
 * Every third one is written with white space between its tokens: the same JSON value, other bytes. The
 * others carry their `data`.
 */
export function githubExamples(): SamplePayload[] {
  return (definitions as unknown as readonly Definition[])
    .flatMap(({ name, examples }) => examples.map((example) => ({ name, example })))
    .map(({ name, example }, index) =>
      samplePayload({
        type: ['github', name, example.action].filter((part) => part !== undefined).join('.'),
        entityKey: githubEntityKey(name, example),
        ...(index % 3 === 2
          ? { text: JSON.stringify(example, null, 2) }
          : { text: JSON.stringify(example), data: example }),
      }),
    );
}

/** Whose history an event belongs to: `owner/repository#issue/1`, or what is nearest to it. */
export function githubEntityKey(name: string, example: Example): string {
  const owner =
    example.repository?.full_name ??
    example.organization?.login ??
    (example.installation === undefined ? undefined : `installation/${example.installation.id}`) ??
    example.sender?.login ??
    name;
  const subject = subjects.find((candidate) => isObject(example[candidate]));
  if (subject === undefined) return owner;
  const part = example[subject] as { readonly number?: number; readonly id?: number };
  return `${owner}#${subject}/${part.number ?? part.id}`;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
