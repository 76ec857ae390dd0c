import { expect, test } from 'vitest';
import { configSchema } from './config-schema.ts';
import { enough, merged } from './merge-fixture.suite.ts';

const nats = { type: 'nats', name: 'nats', servers: ['nats://h:4222'], stream: { name: 'EVENTS' } };
const webhooks = { type: 'webhooks' };
const audit = { type: 'file', name: 'audit', path: '/a.ndjson' };
const transform = (): string => 'less';

/** A sink of this name that is known to its server in this way. */
function access(name: string, by: object): object {
  return { ...nats, name, stream: { name }, subject: `${name}.<type>`, access: by };
}

interface Written {
  readonly sinks: readonly unknown[];
  readonly routes?: readonly unknown[];
}

async function told(file: Written, env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const { problems } = await merged({ env: { ...enough, ...env }, file });
  return problems.map(({ text }) => text.replace(', from conf.json', ''));
}

const overlapping =
  'JetStream refuses subjects that overlap: change one, or give stream.subjects that take in both.';

const server =
  'it must be a server like nats://host:4222 or tls://host:4222; credentials belong under access.';
const reference = "it must be 'env:NAME' or 'file:/path', where the secret is.";

const oneWay = 'it must have one of token, user with password, nkeySeed, credentials.';

const refusals: ReadonlyArray<readonly [string, Written, readonly string[]]> = [
  [
    'two sinks into one stream',
    { sinks: [nats, { ...nats, name: 'other', servers: ['nats://elsewhere:4222'], subject: 'x.<tenant>' }] },
    [
      'sinks[1].stream.name is "EVENTS", which the sink nats fills already; JetStream would take the second message of each event for a repetition, and drop it: give it another stream, or have one sink and routes with a subject.',
    ],
  ],
  [
    'two streams of one subject',
    {
      sinks: [
        nats,
        { ...nats, name: 'other', stream: { name: 'OTHER', subjects: ['x.>', 'events.acme.>'] } },
      ],
    },
    [
      'sinks[1].stream.subjects would have events.acme.>, of which the sink nats has a part in another stream; JetStream keeps a subject in one stream: give one of the sinks another subject.',
      'sinks[1].stream.subjects do not take in events.*.>, the subjects of events.<tenant>.<type> (the default); they must take in all that the sink sends.',
    ],
  ],
  [
    'later events that wait behind a dead letter, as webhooks do not, or in other words',
    {
      sinks: [
        { ...webhooks, afterDeadLetter: 'wait' },
        { ...audit, afterDeadLetter: 'waits' },
      ],
    },
    [
      'sinks[0].afterDeadLetter is not known; known here: type.',
      'sinks[1].afterDeadLetter is "waits"; it must be one of continue, wait; did you mean wait?',
    ],
  ],
  [
    'a time after which events are given up, of webhooks, or that is too short or no time',
    {
      sinks: [
        { ...webhooks, deadLetterAfter: '15m' },
        { ...audit, deadLetterAfter: '5s' },
        { ...audit, name: 'other', deadLetterAfter: 900 },
      ],
    },
    [
      'sinks[0].deadLetterAfter is not known; known here: type.',
      'sinks[1].deadLetterAfter is "5s"; it must be a duration like 250ms, 5s, 5m or 2h, from 1m to 8760h.',
      'sinks[2].deadLetterAfter is 900; it must be a duration like 250ms, 5s, 5m or 2h, from 1m to 8760h.',
    ],
  ],
  [
    'what webhooks cannot do',
    {
      sinks: [webhooks, nats, audit],
      routes: [
        { to: ['nats', 'webhooks'], type: 'order.*', transform },
        { to: ['nats', 'webhooks', 'audit'], subject: 'x.<tenant>' },
      ],
    },
    [
      'routes[0].transform leads to the sink webhooks; webhooks are sent the payload as it was emitted: give that sink a route without transform.',
      'routes[1].subject leads to the sink webhooks; only sinks of type nats and custom have subjects: give that sink a route without subject.',
      'routes[1].subject leads to the sink audit; only sinks of type nats and custom have subjects: give that sink a route without subject.',
    ],
  ],
  [
    'subjects that could be anything',
    {
      sinks: [
        { ...nats, subject: '<tenant>.<type>', stream: { name: 'EVENTS', subjects: ['>', '$JS.>', 'a.>'] } },
        { ...nats, name: 'other', subject: '_INBOX.<tenant>', stream: { name: 'OTHER' } },
      ],
    },
    [
      'sinks[0].stream.subjects[0] is ">"; it must be a subject, possibly with wildcards behind its first part, like events.>.',
      'sinks[0].stream.subjects[1] is "$JS.>"; it must be a subject, possibly with wildcards behind its first part, like events.>.',
      'sinks[0].subject is "<tenant>.<type>"; it must be a subject like events.<ecosystem>.<tenant>.<type>, its first part a word of its own and not _INBOX.',
      'sinks[1].subject is "_INBOX.<tenant>"; it must be a subject like events.<ecosystem>.<tenant>.<type>, its first part a word of its own and not _INBOX.',
    ],
  ],
  [
    'templates of which one event could have two subjects',
    {
      sinks: [{ ...nats, subject: 'x.<tenant>.orders' }],
      routes: [{ to: ['nats'], type: 'a', subject: 'x.acme.<key>' }, { to: ['nats'] }],
    },
    [
      `sinks[0].stream.subjects would be x.*.orders and x.acme.*, of x.<tenant>.orders (subject) and x.acme.<key> (routes[0].subject); ${overlapping}`,
    ],
  ],
  [
    'a stream that does not take what is sent',
    {
      sinks: [{ ...nats, stream: { name: 'EVENTS', subjects: ['events.acme.>', 'a.*.b', 'a.b.*'] } }],
      routes: [{ to: ['nats'], type: 'a', subject: 'a.<tenant>' }, { to: ['nats'] }],
    },
    [
      'sinks[0].stream.subjects do not take in events.*.>, the subjects of events.<tenant>.<type> (the default); they must take in all that the sink sends.',
      'sinks[0].stream.subjects do not take in a.*, the subjects of a.<tenant> (routes[0].subject); they must take in all that the sink sends.',
      'sinks[0].stream.subjects would be a.*.b and a.b.*, of a.*.b (stream.subjects) and a.b.* (stream.subjects); JetStream refuses subjects that overlap.',
    ],
  ],
  [
    'a window beyond the age of a message',
    { sinks: [{ ...nats, stream: { name: 'EVENTS', duplicateWindow: '2m', maxAge: '1m' } }] },
    [
      'sinks[0].stream.duplicateWindow is longer than stream.maxAge; JetStream forgets an event with its message: it must not be longer than maxAge.',
    ],
  ],
  [
    'secrets in every wrong place',
    {
      sinks: [
        {
          ...nats,
          servers: ['app:hunter2@h:4222', 'nats://u:hun/ter2@p@h'],
          access: 'hunter2',
          tls: 'hunter2',
        },
        { ...nats, name: 'two', servers: 'nats://u:hunter2@h', access: { user: 'hunter2\n', password: 7 } },
        { ...nats, name: 'three', servers: ['nats://h:4222?token=hunter2@'], tls: { key: 'hunter2' } },
      ],
    },
    [
      `sinks[0].servers[0] is "***@h:4222"; ${server}`,
      `sinks[0].servers[1] is "nats://***@h"; ${server}`,
      "sinks[0].access is a string; it must be an object like { credentials: 'file:/run/secrets/nats.creds' }.",
      "sinks[0].tls is a string; it must be an object like { ca: 'file:/etc/ssl/nats-ca.pem' }.",
      `sinks[1].servers is "nats://***@h"; it must be a list, each of it ${server.slice('it must be '.length)}`,
      'sinks[1].access.user is a string; it must be the name of a user, without control characters.',
      `sinks[1].access.password is a number that is no reference; ${reference}`,
      `sinks[2].servers[0] is "nats://***@"; ${server}`,
      `sinks[2].tls.key is a string that is no reference; ${reference}`,
    ],
  ],
  [
    'no way to be known, and more than one',
    {
      sinks: [
        access('a', {}),
        access('b', { token: 'env:T', nkeySeed: 'env:N' }),
        access('c', { user: 'u', credentials: 'env:C', password: 'env:P' }),
        access('d', { password: 'env:P' }),
        access('e', { user: 'u' }),
        { ...access('f', { token: 'env:T' }), tls: { cert: 'file:/c' } },
        { ...access('g', { token: 'env:T' }), tls: { ca: 'file:/a', key: 'file:/k' } },
      ],
    },
    [
      `sinks[0].access is empty; ${oneWay}`,
      `sinks[1].access has token and nkeySeed; ${oneWay}`,
      `sinks[2].access has user and password and credentials; ${oneWay}`,
      'sinks[3].access.user is missing; it goes with password.',
      'sinks[4].access.password is missing; it goes with user.',
      'sinks[5].tls.key is missing; it goes with cert.',
      'sinks[6].tls.cert is missing; it goes with key.',
    ],
  ],
  [
    'references that lead nowhere',
    {
      sinks: [
        webhooks,
        { ...access('a', { user: 'env:USER', password: 'env:NOWHERE' }), tls: { ca: 'file:/nowhere/ca' } },
      ],
    },
    [
      'sinks[1].access.password cannot be had: env:NOWHERE is not set.',
      'sinks[1].tls.ca cannot be had: /nowhere/ca cannot be read (ENOENT).',
    ],
  ],
  [
    'conditions on headers that no event can have',
    {
      sinks: [webhooks],
      routes: [
        { to: ['webhooks'], header: { 'X-Region': 'eu', constructor: 'a', region: 5, x: [''] } },
        JSON.parse('{ "to": ["webhooks"], "header": { "__proto__": "*" } }'),
        { to: ['webhooks'], header: 'region' },
      ],
    },
    [
      'routes[0].header has the name "X-Region"; a name must be 1 to 20 of a-z and 0-9, as emit has them.',
      'routes[0].header.region is 5; it must be a text in which * stands for any characters, like order.*.',
      'routes[0].header.x[0] is ""; it must be a text in which * stands for any characters, like order.*.',
      'routes[1].header has the name "__proto__"; a name must be 1 to 20 of a-z and 0-9, as emit has them.',
      `routes[2].header is "region"; it must be an object like { region: 'eu-*' }.`,
    ],
  ],
];

test.each(refusals)('refused: %s', async (_what, file, sentences) => {
  expect(await told(file)).toEqual(sentences);
});

const accepted: ReadonlyArray<readonly [string, Written]> = [
  [
    'a template within another, and routes to every sink',
    {
      sinks: [webhooks, { ...nats, subject: 'a.<tenant>.<type>' }, audit],
      routes: [
        { to: ['nats'], type: 'x', subject: 'a.<type>', transform },
        { to: ['audit'], transform },
        { to: ['nats', 'webhooks', 'audit'] },
      ],
    },
  ],
  [
    'what overlaps, in a stream that takes both, and in one that is there',
    {
      sinks: ['x.>', undefined].map((subject, index) => ({
        ...nats,
        ...{ name: `nats-${index}`, subject: 'x.<tenant>.orders' },
        stream: {
          name: `S${index}`,
          ...(subject === undefined ? { create: false } : { subjects: [subject] }),
        },
      })),
      routes: [{ to: ['nats-0', 'nats-1'], subject: 'x.acme.<key>' }],
    },
  ],
  [
    'one subject in streams of other servers, of another account, and of a stream that is there',
    {
      sinks: [
        nats,
        { ...nats, name: 'b', stream: { name: 'B' }, servers: ['nats://elsewhere:4222'] },
        { ...nats, name: 'c', stream: { name: 'C' }, access: { credentials: 'env:DATABASE_URL' } },
        { ...nats, name: 'd', stream: { name: 'D', create: false } },
      ],
    },
  ],
  [
    'a window of the age of a message, and a short age alone',
    {
      sinks: [
        { ...nats, stream: { name: 'A', duplicateWindow: '1m', maxAge: '1m' }, subject: 'a.<tenant>' },
        { ...nats, name: 'b', stream: { name: 'B', maxAge: '1m' }, subject: 'b.<tenant>' },
      ],
    },
  ],
];

test.each(accepted)('accepted: %s', async (_what, file) => {
  expect(await told(file)).toEqual([]);
});

test('references are looked up where the relay is, and nowhere else', async () => {
  const file = { sinks: [access('a', { user: 'u', password: 'env:P' }), access('b', { token: 'env:P' })] };
  expect(await told(file, { P: 'hunter2' })).toEqual([]);
  expect(await told(file, { EVENT_RUNTIME_ROLES: 'webhooks' })).toEqual([]);
  expect(await told(file)).toHaveLength(2);
});

test('the schema says of headers what the parser says', () => {
  expect(configSchema().properties?.['routes']?.items?.properties?.['header']).toMatchObject({
    propertyNames: { pattern: '^[a-z0-9]{1,20}$' },
    additionalProperties: { anyOf: [{ type: 'string' }, { type: 'array', minItems: 1 }] },
  });
});
