import { EventRuntimeError, isEventRuntimeError } from '../errors/coded-error.ts';
import { producerError, producerErrors } from '../errors/codes.ts';

/**
 * What `emit` throws for an error that a driver or ORM threw: total, whatever it is given.
 *
 * - Ours, from the database (the message begins with a code): that code.
 * - 40001 when an idempotency key was given: ER2009.
 * - No such schema or function, or no privilege for it: ER2011.
 * - Prisma's "transaction already closed" (P2028): ER2003.
 * - Anything else, a deadlock or a lost connection for example, is the driver's own error, so that a
 *   retry written for the driver works. A wrapper that carries the statement's parameters is taken off:
 *   they hold the payload, and errors get logged.
 */
export function emitFailure(thrown: unknown, context: { readonly idempotent: boolean }): unknown {
  const chain = unwrap(thrown);
  const own = chain.find(isEventRuntimeError);
  if (own !== undefined) return own;
  const errors = chain.filter((link) => link instanceof Error && !carriesParameters(link));
  const cause = errors[0] ?? new Error('The database driver failed.');
  for (const link of chain) {
    const coded = codedByDatabase(link, cause);
    if (coded !== undefined) return coded;
  }
  const states = new Set(chain.flatMap((link) => [textAt(link, 'code'), textAt(link, 'originalCode')]));
  if (context.idempotent && states.has('40001')) return producerError('ER2009', { cause });
  if (states.has('P2028')) return producerError('ER2003', { cause });
  if (states.has('3F000') || states.has('42883') || states.has('42501')) {
    return producerError('ER2011', { detail: messageOf(chain), cause });
  }
  return errors.length === 0 && !chain.some(carriesParameters) ? thrown : cause;
}

/** Properties under which ORMs keep the driver's error: pg and Drizzle, Prisma, TypeORM. */
const inner = ['cause', 'meta', 'driverAdapterError', 'driverError'] as const;
const mostLinks = 20;

/** The error and all that it wraps, outermost first. */
function unwrap(thrown: unknown): object[] {
  const chain = new Set<object>();
  const open: unknown[] = [thrown];
  while (open.length > 0 && chain.size < mostLinks) {
    const link = open.shift();
    if (typeof link !== 'object' || link === null || chain.has(link)) continue;
    chain.add(link);
    open.push(...inner.map((name) => valueAt(link, name)));
  }
  return [...chain];
}

function carriesParameters(link: object): boolean {
  return ['params', 'parameters', 'bindings'].some((name) => valueAt(link, name) !== undefined);
}

/** `ER2004 The event has no tenant.`, with the remedy as the hint. */
function codedByDatabase(link: object, cause: unknown): EventRuntimeError | undefined {
  const text = textAt(link, 'originalMessage') ?? textAt(link, 'message') ?? '';
  const [, code, said] = /^(ER\d{4})\b[ :]*([\s\S]*)$/.exec(text) ?? [];
  if (code === undefined || said === undefined) return undefined;
  const remedy = textAt(link, 'hint');
  if (!isProducerCode(code)) {
    const entry = { meaning: said, remedy: remedy ?? 'See the error reference.', retryable: false };
    return new EventRuntimeError({ code, entry }, { cause });
  }
  const detail = sameSentence(said, producerErrors[code].meaning) ? '' : said;
  return producerError(code, {
    cause,
    ...(detail === '' ? {} : { detail }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}

function sameSentence(one: string, other: string): boolean {
  const [a, b] = [one, other].map((each) => each.toLowerCase().replace(/\.$/, ''));
  return a === b;
}

function isProducerCode(code: string): code is keyof typeof producerErrors {
  return Object.hasOwn(producerErrors, code);
}

function messageOf(chain: readonly object[]): string {
  const texts = chain
    .filter((link) => !carriesParameters(link))
    .map((link) => textAt(link, 'originalMessage'));
  return texts.find((text) => text !== undefined) ?? textAt(chain.at(-1) ?? {}, 'message') ?? '';
}

function textAt(link: object, name: string): string | undefined {
  const value = valueAt(link, name);
  return typeof value === 'string' ? value : undefined;
}

/** A getter of a strange error must not hide the error. */
function valueAt(link: object, name: string): unknown {
  try {
    return (link as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}
