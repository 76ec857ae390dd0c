import type { OutboxEvent } from '../../log/outbox-event.ts';

/** What a placeholder stands for. */
const fields = {
  tenant: (event: OutboxEvent) => event.tenantId,
  ecosystem: (event: OutboxEvent) => event.ecosystem,
  type: (event: OutboxEvent) => event.eventType,
  key: (event: OutboxEvent) => event.entityKey,
} as const;

type Field = keyof typeof fields;

/** The subjects of a sink that names none. */
export const defaultSubject = 'events.<tenant>.<type>';

const absent = '~';
const empty = '~~';
const literalToken = /^[A-Za-z0-9_-]+$/;

/**
 * The subject of each event: `events.<ecosystem>.<tenant>.<type>`.
 *
 * `<tenant>`, `<ecosystem>` and `<key>` are one token each, `<type>` one for each part between its dots. In a token,
 * every character but ASCII letters, digits, `_` and `-` is written as its UTF-8 bytes, each `%` and two upper-case
 * hexadecimal digits: so `a.b > *` is `a%2Eb%20%3E%20%2A`, and `decodeURIComponent` gives it back. What an event has
 * not is `~`, and what is empty `~~`.
 *
 * Source: NATS documentation, "Subject-Based Messaging" (characters allowed for subject names).
 */
export class SubjectTemplate {
  readonly text: string;
  readonly #tokens: ReadonlyArray<string | { readonly field: Field }>;
  /** What its placeholders stand for. */
  readonly #fields: readonly Field[];
  /** What the last subject was made of: as a rule the next event's is the same. */
  #last: { readonly values: ReadonlyArray<string | null>; readonly subject: string } = {
    values: [],
    subject: '',
  };

  /** @throws RangeError for what is no template */
  constructor(text: string) {
    this.text = text;
    this.#tokens = text.split('.').map((token) => {
      const name = /^<(\w+)>$/.exec(token)?.[1];
      if (name !== undefined && name in fields) return { field: name as Field };
      if (literalToken.test(token)) return token;
      throw new RangeError(
        `subject ${JSON.stringify(text)}: ${JSON.stringify(token)} is neither a token of A-Z, a-z, 0-9, _ and - nor one of ${Object.keys(
          fields,
        )
          .map((field) => `<${field}>`)
          .join(', ')}`,
      );
    });
    this.#fields = this.#tokens.flatMap((token) => (typeof token === 'string' ? [] : [token.field]));
  }

  /** The subject of one event. */
  of(event: OutboxEvent): string {
    const { values, subject } = this.#last;
    if (subject !== '' && this.#fields.every((field, index) => fields[field](event) === values[index])) {
      return subject;
    }
    const made = this.#tokens
      .map((token) => (typeof token === 'string' ? token : encodeField(token.field, event)))
      .join('.');
    this.#last = { values: this.#fields.map((field) => fields[field](event)), subject: made };
    return made;
  }

  /** A wildcard that takes in every subject of this template. */
  get wildcard(): string {
    const literals: string[] = [];
    for (const token of this.#tokens) {
      // Behind a type nothing has its place: it has as many tokens as it has.
      if (typeof token !== 'string' && token.field === 'type') return [...literals, '>'].join('.');
      literals.push(typeof token === 'string' ? token : '*');
    }
    return literals.join('.');
  }
}

function encodeField(field: Field, event: OutboxEvent): string {
  const value = fields[field](event);
  if (value === null) return absent;
  return field === 'type' ? value.split('.').map(encodeToken).join('.') : encodeToken(value);
}

/** As one token of a subject; {@link decodeToken} gives it back. */
export function encodeToken(value: string): string {
  if (value === '') return empty;
  if (literalToken.test(value)) return value;
  return value.replaceAll(/[^A-Za-z0-9_-]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** What {@link encodeToken} was given; null: the event had none. @throws URIError for what it never writes */
export function decodeToken(token: string): string | null {
  if (token === absent) return null;
  return token === empty ? '' : decodeURIComponent(token);
}

/** Whether a stream that takes this wildcard takes every subject of the other one. */
export function covers(wildcard: string, other: string): boolean {
  const [mine, theirs] = [wildcard.split('.'), other.split('.')];
  for (const [index, token] of mine.entries()) {
    if (token === '>') return theirs.length > index;
    const against = theirs[index];
    if (against === undefined || against === '>') return false;
    if (token !== '*' && token !== against) return false;
  }
  return mine.length === theirs.length;
}
