import { duration } from './duration.ts';
import { listOf } from './list-of.ts';
import { natsAccess, natsTls } from './nats-secrets.ts';
import { type Members, objectOf } from './object-of.ts';
import { pattern } from './pattern.ts';
import { subjectTemplate } from './subject-template.ts';
import { truth } from './truth.ts';
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

/** What a sink into NATS JetStream has beside `type` and `name`. */
export const natsMembers: Members = {
  servers: { kind: listOf(server, { least: 1 }) },
  stream: { kind: stream },
  subject: { kind: subjectTemplate, optional },
  access: { kind: natsAccess, optional },
  tls: { kind: natsTls, optional },
};
