import { expect, test } from 'vitest';
import { runtimeError } from '../errors/codes.ts';
import { isRefusal, unreachable } from './unreachable.ts';

function coded(code: string, message = 'as it says'): Error {
  return Object.assign(new Error(message), { code });
}

test.each([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'sslrootcert='],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'sslrootcert='],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'sslrootcert='],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'sslrootcert='],
  ['ERR_TLS_CERT_ALTNAME_INVALID', "a name that the server's certificate is for"],
  ['CERT_HAS_EXPIRED', "Renew the server's certificate"],
  ['EAI_AGAIN', 'the host in DATABASE_URL'],
  ['57P03', 'the server is starting'],
  ['ETIMEDOUT', 'Check DATABASE_URL, that PostgreSQL is running'],
  ['constructor', 'Check DATABASE_URL, that PostgreSQL is running'],
])('%s: ER1001, with what to do about just that', (code, remedy) => {
  const cause = coded(code);
  expect(unreachable(cause)).toMatchObject({
    code: 'ER1001',
    cause,
    remedy: expect.stringContaining(remedy),
  });
});

test('a file that the URL names is told from a socket that is not there', () => {
  const missing = (syscall: string): Error => Object.assign(coded('ENOENT'), { syscall });
  expect(unreachable(missing('open')).remedy).toContain('sslrootcert');
  expect(unreachable(missing('connect')).remedy).toContain('Check DATABASE_URL');
});

test('what was said is told, of every address that was tried', () => {
  const tried = new AggregateError(
    [coded('ECONNREFUSED', 'no ::1'), coded('ECONNREFUSED', 'no 127.0.0.1')],
    '-',
  );
  tried.message = '';
  expect(unreachable(tried).message).toContain('It says: no ::1, no 127.0.0.1.');
});

test('a pooler is named, and what is coded stays as it is', () => {
  expect(unreachable(coded('08P01', 'unsupported startup parameter: replication'))).toMatchObject({
    code: 'ER1004',
  });
  const before = runtimeError('ER1005');
  expect(unreachable(before)).toBe(before);
});

test('a refusal to connect is told from an error of a statement', () => {
  expect(isRefusal(coded('28P01'))).toBe(true);
  expect(isRefusal(coded('42P01'))).toBe(false);
  expect(isRefusal(new Error('boom'))).toBe(false);
});
