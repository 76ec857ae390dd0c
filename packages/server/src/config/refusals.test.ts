import { describe, expect, test } from 'vitest';
import { enough, keys, merged, type Sources } from './merge-fixture.suite.ts';

const numbers = 'it must be a whole number from 1 to 64.';
const references = "it must be 'env:NAME' or 'file:/path'.";

/** Variable, flag or file, and the sentences. */
const refusals: ReadonlyArray<readonly [string, Sources, readonly string[]]> = [
  [
    'too large, by flag',
    { flags: { 'relay.shards': '65' } },
    [`relay.shards is "65", from --relay-shards; ${numbers}`],
  ],
  [
    'no number, by variable',
    { env: { EVENT_RUNTIME_RELAY_SHARDS: '1e1' } },
    [`relay.shards is "1e1", from EVENT_RUNTIME_RELAY_SHARDS; ${numbers}`],
  ],
  [
    'of another type',
    { file: { relay: { shards: '2' } } },
    [`relay.shards is "2", from conf.json; ${numbers}`],
  ],
  ['null', { file: { relay: { shards: null } } }, [`relay.shards is null, from conf.json; ${numbers}`]],
  ['a fraction', { file: { relay: { shards: 1.5 } } }, [`relay.shards is 1.5, from conf.json; ${numbers}`]],
  [
    'a unit that is none',
    { env: { EVENT_RUNTIME_LEASE: '5sec' } },
    [
      'relay.leaseMs is "5sec", from EVENT_RUNTIME_LEASE; it must be a duration like 250ms, 5s, 5m or 2h, a number alone being milliseconds, from 500ms to 5m.',
    ],
  ],
  [
    'a duration without unit where the name has none',
    { file: { webhooks: { retryDelays: ['5s', '5', 7, '721h'] } } },
    ['[1] is "5"', '[2] is 7', '[3] is "721h"'].map(
      (part) =>
        `webhooks.retryDelays${part}, from conf.json; it must be a duration like 250ms, 5s, 5m or 2h, from 0s to 720h.`,
    ),
  ],
  [
    'a size of another unit',
    { file: { relay: { windowBytes: '32MB' } } },
    [
      'relay.windowBytes is "32MB", from conf.json; it must be a size like 32MiB (a number of bytes, or with KiB, MiB or GiB), from 1MiB to 4GiB.',
    ],
  ],
  [
    'a name with a capital',
    { env: { EVENT_RUNTIME_SLOT: 'Mine' } },
    ['relay.slot is "Mine", from EVENT_RUNTIME_SLOT; it must be 1 to 63 of a-z, 0-9 and _.'],
  ],
  [
    'a word that is none',
    { flags: { 'log.level': 'INFO' } },
    [
      'log.level is "INFO", from --log-level; it must be one of debug, info, warn, error, silent; did you mean info?',
    ],
  ],
  [
    'a role and a sink that are nearly one',
    { flags: { roles: 'realy,webhooks' }, file: { sinks: [{ type: 'webhook' }] } },
    [
      'roles[0] is "realy", from --roles; it must be one of relay, webhooks; did you mean relay?',
      'sinks[0].type is "webhook", from conf.json; it must be one of webhooks, file, nats, custom, null; did you mean webhooks?',
    ],
  ],
  [
    'no truth',
    { flags: { 'relay.failover': 'yes' } },
    ['relay.failover is "yes", from --relay-failover; it must be true or false.'],
  ],
  [
    'a network that is none',
    { env: { EVENT_RUNTIME_EGRESS_ALLOW: '10.0.0.0/8,everything,10.0.0.0/33' } },
    ['[1] is "everything"', '[2] is "10.0.0.0/33"'].map(
      (part) =>
        `webhooks.egressAllow${part}, from EVENT_RUNTIME_EGRESS_ALLOW; it must be a network like 10.1.0.0/16, or an address like ::1.`,
    ),
  ],
  [
    'no role',
    { flags: { roles: ',' } },
    ['roles is an empty list, from --roles; it must be a list, each of it one of relay, webhooks.'],
  ],
  [
    'an unknown name, near a known one',
    { file: { relay: { nmae: 'x' }, realy: {}, database_url: 'hunter2' } },
    [
      'relay.nmae is not known, from conf.json; did you mean relay.name?',
      'realy is not known, from conf.json; did you mean relay?',
      'database_url is not known, from conf.json; did you mean databaseUrl?',
    ],
  ],
  [
    'an unknown name in the wrong place',
    { file: { slot: 'x', webhooks: { level: 1 } } },
    [
      'slot is not known, from conf.json; did you mean relay.slot?',
      'webhooks.level is not known, from conf.json; did you mean log.level?',
    ],
  ],
  [
    'an unknown name, near nothing',
    { file: { http: { certificates: 1 } } },
    ['http.certificates is not known, from conf.json; known here: host, port.'],
  ],
  [
    'a group that is none',
    { file: { http: 'hunter2', log: [] } },
    [
      'http is a string, from conf.json; it must be an object with any of host, port.',
      'log is a list, from conf.json; it must be an object with any of level.',
    ],
  ],
  [
    'no object at all',
    { file: [] },
    ['The configuration file conf.json has a list where an object of settings must be.'],
  ],
  [
    'sinks of every wrong kind',
    {
      file: {
        sinks: [
          'webhooks',
          {},
          { type: 'kafka' },
          { type: 'file', name: 'A', pth: 1 },
          { type: 'null', name: 'x' },
          { type: 'webhooks', tls: 1 },
        ],
      },
    },
    [
      `sinks[0] is "webhooks", from conf.json; it must be an object like { type: 'webhooks' }.`,
      'sinks[1].type is missing, from conf.json; it must be one of webhooks, file, nats, custom, null.',
      'sinks[2].type is "kafka", from conf.json; it must be one of webhooks, file, nats, custom, null.',
      'sinks[3].name is "A", from conf.json; it must be 1 to 63 of a-z, 0-9, _ and -, the first no _ or -.',
      'sinks[3].path is missing, from conf.json; it must be the path of a file.',
      'sinks[3].pth is not known, from conf.json; did you mean path?',
      'sinks[5].tls is not known, from conf.json; known here: type.',
    ],
  ],
  [
    'a sink into NATS, with a secret where a reference belongs',
    {
      file: {
        sinks: [
          {
            type: 'nats',
            name: 'nats',
            servers: ['nats://app:hunter2@host:4222', 'host:4222'],
            stream: { name: 'a b', replica: 3, duplicateWindow: 60 },
            subject: 'events..<type>',
            access: { token: 'hunter2', passwort: 1 },
            tls: 'yes',
          },
        ],
      },
    },
    [
      'sinks[0].servers[0] is "nats://***@host:4222", from conf.json; it must be a server like nats://host:4222 or tls://host:4222; credentials belong under access.',
      'sinks[0].servers[1] is "host:4222", from conf.json; it must be a server like nats://host:4222 or tls://host:4222; credentials belong under access.',
      'sinks[0].stream.name is "a b", from conf.json; it must be the name of a stream, of A-Z, a-z, 0-9, _ and -.',
      'sinks[0].stream.duplicateWindow is 60, from conf.json; it must be a duration like 250ms, 5s, 5m or 2h, from 1s to 24h.',
      'sinks[0].stream.replica is not known, from conf.json; did you mean replicas?',
      'sinks[0].subject is "events..<type>", from conf.json; it must be a subject like events.<ecosystem>.<tenant>.<type>, its first part a word of its own and not _INBOX.',
      "sinks[0].access.token is a string that is no reference, from conf.json; it must be 'env:NAME' or 'file:/path', where the secret is.",
      'sinks[0].access.passwort is not known, from conf.json; did you mean password?',
      `sinks[0].tls is a string, from conf.json; it must be an object like { ca: 'file:/etc/ssl/nats-ca.pem' }.`,
    ],
  ],
  [
    'two sinks of one name',
    { file: { sinks: [{ type: 'webhooks' }, { type: 'null', name: 'webhooks' }] } },
    ['sinks[1] is a second sink named "webhooks", from conf.json; each needs a name of its own.'],
  ],
  [
    'shards of a slot',
    { env: { EVENT_RUNTIME_RELAY_SHARDS: '4' } },
    [
      'relay.shards is 4, from EVENT_RUNTIME_RELAY_SHARDS; it must be 1 where relay.source is wal, for a slot has one reader.',
    ],
  ],
  [
    'shards of a file',
    {
      file: {
        sinks: [{ type: 'file', name: 'log', path: '/var/log/events' }],
        relay: { source: 'table', shards: 2 },
      },
    },
    [
      'relay.shards is 2, from conf.json; it must be 1 where a sink is a file, for only one process may write that.',
    ],
  ],
  [
    'kept less than kept',
    { flags: { 'retention.outboxDays': '91' } },
    ['retention.maxDays is 90, by default; it must not be less than retention.outboxDays, which is 91.'],
  ],
  [
    'the name of a module for a function',
    { file: { retention: { archive: './archive.ts' } } },
    [
      'retention.archive is "./archive.ts", from conf.json; it must be a function, which only a configuration file in TypeScript or JavaScript can give.',
    ],
  ],
  [
    'a URL of something else',
    { env: { DATABASE_URL: 'mysql://user:hunter2@host/db' } },
    [
      'databaseUrl is not valid, from DATABASE_URL; it must be a URL of PostgreSQL, postgres://user:password@host:5432/database (a password is percent-encoded: / is %2F).',
    ],
  ],
  [
    'keys that are too short',
    { env: { EVENT_RUNTIME_SECRET_KEY: `${keys.env},aHVudGVyMg==` } },
    [
      'secretKeys is not valid, from EVENT_RUNTIME_SECRET_KEY; it must be one or more keys, each 32 bytes in base64 (`openssl rand -base64 32`), separated by commas.',
    ],
  ],
  [
    'plain secrets in a file, although overridden',
    { file: { databaseUrl: 'postgres://u:hunter2@h/db', secretKeys: ['env:A', 'hunter2'] } },
    [
      'databaseUrl is a secret in plain text, from conf.json; a file is copied and committed.',
      'secretKeys[1] is a secret in plain text, from conf.json; a file is copied and committed.',
    ],
  ],
  [
    'a plain secret on the command line',
    { flags: { databaseUrl: 'postgres://u:hunter2@h/db' } },
    [
      'databaseUrl is a secret in plain text, from --database-url; everybody on this machine sees a command line.',
    ],
  ],
  [
    'secrets that are no text',
    { file: { databaseUrl: { url: 'hunter2' }, secretKeys: 'env:A' } },
    [
      `databaseUrl is an object, from conf.json; ${references}`,
      "secretKeys is a string, from conf.json; it must be a list of 'env:NAME' or 'file:/path'.",
    ],
  ],
  [
    'references that lead nowhere',
    { flags: { databaseUrl: 'env:NOWHERE', secretKeys: 'file:/nowhere/key' } },
    [
      'databaseUrl cannot be had, from --database-url: env:NOWHERE is not set.',
      'secretKeys cannot be had, from --secret-keys: /nowhere/key cannot be read (ENOENT).',
    ],
  ],
];

describe.each(refusals)('refused: %s', (_what, { flags = {}, env = {}, file }, sentences) => {
  test('each problem in one sentence, and no secret in any of it', async () => {
    const result = await merged({ flags, env: { ...enough, ...env }, file });
    expect(result.problems.map(({ text }) => text).toSorted()).toEqual(sentences.toSorted());
    const told = JSON.stringify(result.problems);
    for (const secret of ['hunter2', 'aHVudGVyMg', keys.env]) expect(told).not.toContain(secret);
    // What is refused has no value that somebody could use.
    for (const { state, value } of result.settings) if (state !== 'set') expect(value).toBeUndefined();
  });
});

test('credentials that were written in the wrong place are not repeated', async () => {
  const { problems } = await merged({ env: { ...enough, EVENT_RUNTIME_SLOT: 'postgres://u:hunter2@h/db' } });
  expect(problems[0]?.text).toMatch(/relay\.slot is "postgres:\/\/\*\*\*@h\/db"/);
});

test('all problems of all sources are told at once', async () => {
  const { problems } = await merged({
    flags: { 'log.level': 'loud' },
    env: { EVENT_RUNTIME_RELAY_SHARDS: 'many' },
    file: { rolse: [] },
  });
  expect(problems.map(({ path }) => path)).toEqual([
    'rolse',
    'relay.shards',
    'log.level',
    'databaseUrl',
    'secretKeys',
  ]);
});
