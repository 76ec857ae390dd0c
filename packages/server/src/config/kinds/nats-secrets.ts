import type { ConfiguredNatsAccess, ConfiguredNatsTls } from '../configured-sink.ts';
import type { Objection } from '../parsed.ts';
import type { ValueKind } from '../value-kind.ts';
import { type Members, objectOf, objectSchema } from './object-of.ts';
import { pattern } from './pattern.ts';
import { reference } from './reference.ts';
import { unseen } from './unseen.ts';

const user = pattern({
  pattern: String.raw`[^\u0000-\u001f]+`,
  allowed: 'the name of a user, without control characters',
  placeholder: 'name',
});
const optional = true as const;

/** The ways in which a server of NATS knows somebody. */
const ways: readonly Members[] = [
  { token: { kind: reference } },
  { user: { kind: unseen(user) }, password: { kind: reference } },
  { nkeySeed: { kind: reference } },
  { credentials: { kind: reference } },
];
const allMembers = Object.assign({}, ...ways) as Members;
const anyAccess = objectOf<ConfiguredNatsAccess>(
  Object.fromEntries(Object.entries(allMembers).map(([name, member]) => [name, { ...member, optional }])),
  { example: "{ credentials: 'file:/run/secrets/nats.creds' }" },
);

/** How the server knows us: in one way. */
export const natsAccess: ValueKind<ConfiguredNatsAccess> = unseen(
  checked(
    { ...anyAccess, schema: { anyOf: ways.map((members) => objectSchema(members)) } },
    (access): readonly Objection[] => {
      const given = ways.filter((members) => Object.keys(members).some((name) => name in access));
      const allowed = 'it must have one of token, user with password, nkeySeed, credentials';
      if (given.length === 0) return [{ at: '', found: 'is empty', allowed }];
      if (given.length > 1) {
        return [{ at: '', found: `has ${Object.keys(access).join(' and ')}`, allowed }];
      }
      return missing(access, Object.keys(given[0] ?? {}));
    },
  ),
);

const authority: Members = { ca: { kind: reference, optional } };
const ownCertificate: Members = { cert: { kind: reference }, key: { kind: reference } };
const anyTls = objectOf<ConfiguredNatsTls>(
  {
    ...authority,
    cert: { kind: reference, optional },
    key: { kind: reference, optional },
  },
  { example: "{ ca: 'file:/etc/ssl/nats-ca.pem' }" },
);

/** A certificate of ours is one with its key. */
export const natsTls: ValueKind<ConfiguredNatsTls> = unseen(
  checked(
    {
      ...anyTls,
      schema: { anyOf: [objectSchema(authority), objectSchema({ ...authority, ...ownCertificate })] },
    },
    (tls) => ('cert' in tls || 'key' in tls ? missing(tls, ['cert', 'key']) : []),
  ),
);

/** Of names that go together. */
function missing(given: object, together: readonly string[]): readonly Objection[] {
  const there = together.filter((name) => name in given);
  return together.flatMap((name) => {
    if (name in given) return [];
    return [{ at: `.${name}`, found: 'is missing', allowed: `it goes with ${there.join(', ')}` }];
  });
}

/** A kind that objects to more than each member for itself. */
function checked<T>(kind: ValueKind<T>, check: (value: T) => readonly Objection[]): ValueKind<T> {
  return {
    ...kind,
    fromFile(given) {
      const read = kind.fromFile(given);
      if ('objections' in read) return read;
      const objections = check(read.value);
      return objections.length === 0 ? read : { objections };
    },
  };
}
