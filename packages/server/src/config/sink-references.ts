import type { ConfiguredNats, SinkSettings } from './configured-sink.ts';
import { fromOrigin, type Origin } from './origin.ts';
import type { Problem } from './problem.ts';
import { resolveReference, secretReference } from './secret-reference.ts';

/** The references of the sinks that lead nowhere: a relay that cannot have its secrets is refused, not left to wait. */
export async function sinkReferenceProblems(
  sinks: readonly SinkSettings[],
  options: {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly signal: AbortSignal;
    readonly origin: Origin;
  },
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const [index, sink] of sinks.entries()) {
    if (sink.type !== 'nats') continue;
    for (const [name, text] of referencesOf(sink)) {
      const found = await resolveReference(secretReference(text), options);
      if ('secret' in found) continue;
      const path = `sinks[${index}].${name}`;
      problems.push({ path, text: `${path} cannot be had, ${fromOrigin(options.origin)}: ${found.why}.` });
    }
  }
  return problems;
}

function referencesOf({ access = {}, tls = {} }: ConfiguredNats<number>): ReadonlyArray<[string, string]> {
  const { user: _, ...secrets } = access;
  return [
    ...Object.entries(secrets).map(([name, text]): [string, string] => [`access.${name}`, text]),
    ...Object.entries(tls).map(([name, text]): [string, string] => [`tls.${name}`, text as string]),
  ];
}
