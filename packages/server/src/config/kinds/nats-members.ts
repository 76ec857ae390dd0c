import { duration } from './duration.ts';
import { listOf } from './list-of.ts';
import { type Members, objectOf } from './object-of.ts';
import { pattern } from './pattern.ts';
import { reference } from './reference.ts';
import { subjectTemplate } from './subject-template.ts';
import { truth } from './truth.ts';
import { unseen } from './unseen.ts';
import { wholeNumber } from './whole-number.ts';

const server = pattern({
  pattern: String.raw`(?:nats|tls)://(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?`,
  allowed: 'a server like nats://host:4222 or tls://host:4222; credentials belong under access',
  placeholder: 'url',
});
const streamName = pattern({
  pattern: String.raw`[A-Za-z0-9_-]{1,255}`,
  allowed: 'the name of a stream, of A-Z, a-z, 0-9, _ and -',
  placeholder: 'name',
});
const subjectFilter = pattern({
  // One that begins with a wildcard overlaps the server's own subjects, which JetStream refuses.
  pattern: String.raw`(?!_INBOX(?:\.|$))[^\s.*>$][^\s.*>]*(?:\.(?:[^\s.*>]+|\*))*(?:\.>)?`,
  allowed: 'a subject, possibly with wildcards behind its first part, like events.>',
  placeholder: 'subject',
});
const user = pattern({
  pattern: String.raw`[^\u0000-\u001f]+`,
  allowed: 'the name of a user, without control characters',
  placeholder: 'name',
});
const optional = true as const;
const day = 86_400_000;

const stream = objectOf(
  {
    name: { kind: streamName },
    subjects: { kind: listOf(subjectFilter, { least: 1 }), optional },
    create: { kind: truth, optional },
    replicas: { kind: wholeNumber({ least: 1, most: 5 }), optional },
    duplicateWindow: { kind: duration({ least: 1_000, most: day, bare: false }), optional },
    maxAge: { kind: duration({ least: 60_000, most: 3_660 * day, bare: false }), optional },
  },
  { example: "{ name: 'EVENTS' }" },
);
const access = objectOf(
  {
    token: { kind: reference, optional },
    user: { kind: unseen(user), optional },
    password: { kind: reference, optional },
    nkeySeed: { kind: reference, optional },
    credentials: { kind: reference, optional },
  },
  { example: "{ credentials: 'file:/run/secrets/nats.creds' }" },
);
const tls = objectOf(
  {
    ca: { kind: reference, optional },
    cert: { kind: reference, optional },
    key: { kind: reference, optional },
  },
  { example: "{ ca: 'file:/etc/ssl/nats-ca.pem' }" },
);

/** What a sink into NATS JetStream has beside `type` and `name`. */
export const natsMembers: Members = {
  servers: { kind: listOf(server, { least: 1 }) },
  stream: { kind: stream },
  subject: { kind: subjectTemplate, optional },
  access: { kind: unseen(access), optional },
  tls: { kind: unseen(tls), optional },
};
