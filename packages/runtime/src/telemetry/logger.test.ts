import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { runtimeError } from '../errors/codes.ts';
import { sanitised } from './denylist.ts';
import { createLogger } from './logger.ts';

function recording(): { readonly lines: () => Array<Record<string, unknown>>; readonly sink: Writable } {
  let text = '';
  const sink = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return {
    sink,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

test('a line is JSON with the name of the event, the level as a word and the fields', () => {
  const { lines, sink } = recording();
  const log = createLogger({ destination: sink }).child({ component: 'relay' });
  log.info('relay.started', { lsn: '0/1', seq: 9007199254740993n });
  log.debug('relay.started');
  expect(lines()).toHaveLength(1);
  expect(lines()[0]).toMatchObject({
    level: 'info',
    event: 'relay.started',
    component: 'relay',
    lsn: '0/1',
    seq: '9007199254740993',
  });
  expect(Date.parse(String(lines()[0]?.['time']))).not.toBeNaN();
});

test('nothing secret and no payload gets out, however deep it is hidden', () => {
  const { lines, sink } = recording();
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const driver = Object.assign(new Error('duplicate key'), {
    detail: 'Key (cpf)=(123) exists',
    code: '23505',
  });
  createLogger({ destination: sink, level: 'debug' }).error('relay.reconnecting', {
    error: runtimeError('ER1001', {
      detail: 'postgres://app:hunter2@db:5432/x refused',
      cause: driver,
    }),
    payload: { cpf: '123' },
    nested: { Authorization: 'Bearer abc', database_url: 'postgres://a:b@c/d', list: [{ secret_key: 'k' }] },
    note: `signed with ${secret}`,
    bytes: Buffer.from('{"cpf":"123"}'),
    view: new Uint8Array([99, 112, 102]),
    secret_keys: ['hunter2'],
    at: 'postgres://app:hun@ter2@db/x',
  });
  const text = JSON.stringify(lines());
  for (const hidden of ['hunter2', 'whsec_', '123"', 'Bearer', 'a:b@', 'cpf', 'ter2@', '112'])
    expect(text).not.toContain(hidden);
  expect(text).toContain('ER1001');
  expect(text).toContain('23505');
  expect(text).toContain('[13 bytes]');
});

test('a long text is cut, and a password that the cut goes through is not shown', () => {
  const url = 'postgres://app:hunter2hunter2@host/db';
  for (const before of [3_960, 3_978, 3_985, 3_995]) {
    const text = sanitised(`${'x '.repeat(before / 2)}${url} tail`) as string;
    expect(text).not.toContain('hunter2h');
    expect(text.length).toBeLessThan(4_100);
  }
  const began = performance.now();
  sanitised(new Error('a'.repeat(1_000_000)));
  // It took minutes.
  expect(performance.now() - began).toBeLessThan(60_000);
});

test('a cycle does not hang it', () => {
  const { lines, sink } = recording();
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  createLogger({ destination: sink }).info('service.started', { cyclic });
  expect(lines()).toHaveLength(1);
});
