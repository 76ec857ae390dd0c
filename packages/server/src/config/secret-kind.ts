import { wordsOf } from './kinds/list-of.ts';
import type { Parsed } from './parsed.ts';

/** A setting whose value must not be seen: given by reference, or plainly by the environment. */
export interface SecretKind<T> {
  /** Completes "it must be …". */
  readonly allowed: string;
  /** Whether it is a list of references. */
  readonly many: boolean;
  /** TypeScript's type of the value that was read. */
  readonly type: string;
  /** Reads what the references lead to. Its objections do not show it. */
  read(texts: readonly string[]): Parsed<T>;
}

/** A URL of PostgreSQL, with its password. */
export const databaseUrlKind: SecretKind<string> = {
  allowed:
    'a URL of PostgreSQL, postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F)',
  many: false,
  type: 'string',
  read([text = '']) {
    if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { value: text };
    return notValid(this.allowed);
  },
};

/** Keys of 32 bytes. One reference may lead to several, separated by commas. */
export const secretKeysKind: SecretKind<readonly string[]> = {
  allowed: 'one or more keys, each 32 bytes in base64 (`openssl rand -base64 32`), separated by commas',
  many: true,
  type: 'readonly string[]',
  read(texts) {
    const keys = texts.flatMap(wordsOf);
    const good = keys.every((key) => {
      const bytes = Buffer.from(key, 'base64');
      return bytes.length === 32 && bytes.toString('base64') === key;
    });
    return good && keys.length > 0 ? { value: keys } : notValid(this.allowed);
  },
};

function notValid(allowed: string): Parsed<never> {
  return { objections: [{ at: '', found: 'is not valid', allowed: `it must be ${allowed}` }] };
}
