import type { NatsAccess } from '@event-runtime/runtime';
import type { ConfiguredNats } from '../config/configured-sink.ts';
import { resolveReference, secretReference } from '../config/secret-reference.ts';
import { serverError } from '../server-error.ts';

/**
 * What the references of a sink lead to, read now.
 *
 * @throws ER5001 one leads nowhere; the message shows no secret
 */
export async function natsAccess(
  sink: Pick<ConfiguredNats<unknown>, 'name' | 'access' | 'tls'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NatsAccess> {
  const { user, ...secrets } = sink.access ?? {};
  const resolved = await resolveAll(secrets, { sink: sink.name, env });
  return {
    ...(user === undefined ? {} : { user }),
    ...resolved,
    ...(sink.tls === undefined ? {} : { tls: await resolveAll({ ...sink.tls }, { sink: sink.name, env }) }),
  };
}

async function resolveAll<Name extends string>(
  references: { readonly [name in Name]?: string },
  of: { readonly sink: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<{ [name in Name]?: string }> {
  const resolved: { [name in Name]?: string } = {};
  for (const [name, text] of Object.entries(references) as Array<[Name, string]>) {
    const { signal } = new AbortController();
    const found = await resolveReference(secretReference(text), { env: of.env, signal });
    if ('why' in found) {
      throw serverError('ER5001', {
        detail: `sink ${of.sink}: ${name} cannot be had: ${found.why}.`,
        remedy: 'Set the variable or write the file that the configuration names, or correct the reference.',
      });
    }
    resolved[name] = found.secret;
  }
  return resolved;
}
