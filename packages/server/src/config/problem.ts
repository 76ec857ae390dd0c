import type { EventRuntimeError } from '@event-runtime/outbox';
import { serverError } from '../server-error.ts';
import { fromOrigin, type Origin } from './origin.ts';
import type { Objection } from './parsed.ts';

/** Something that is wrong with the configuration. */
export interface Problem {
  /** The setting, or the part of it, or the unknown name; empty for the file as a whole. */
  readonly path: string;
  /** A sentence without secrets. */
  readonly text: string;
  /** What to do, where there is more to say than the sentence does. */
  readonly remedy?: string;
}

/** `relay.shards is 65, from --relay-shards; it must be a whole number from 1 to 64.` */
export function problemOf(path: string, objection: Objection, origin: Origin): Problem {
  const where = `${path}${objection.at}`;
  const end = objection.allowed.endsWith('?') ? '' : '.';
  const text = `${where} ${objection.found}, ${fromOrigin(origin)}; ${objection.allowed}${end}`;
  return { path: where, text };
}

/** ER5001 with everything that is wrong, each in a line of its own. */
export function configurationError(problems: readonly Problem[]): EventRuntimeError {
  const [first, ...others] = problems;
  if (others.length === 0) {
    const { text = 'The configuration is not valid.', remedy } = first ?? {};
    return serverError('ER5001', {
      detail: text,
      remedy: remedy ?? 'Correct it; `event-runtime config` shows every setting.',
    });
  }
  const lines = problems.flatMap(({ text, remedy }) =>
    remedy === undefined ? [text] : [text, `  → ${remedy}`],
  );
  return serverError('ER5001', {
    detail: lines.join('\n'),
    remedy: `Correct these ${problems.length}; \`event-runtime config\` shows every setting.`,
  });
}
