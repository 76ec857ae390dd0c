import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/**
 * What PostgreSQL stores of a password for SCRAM-SHA-256, and takes as it is where a password is expected: with one
 * iteration instead of 4,096. Those make a password that a person chose dear to guess. Ones that are random, or of a test,
 * gain nothing by it, and each connection would cost its client another four milliseconds of a processor.
 *
 * @param password printable ASCII
 */
export function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, 1, 32, 'sha256');
  const keyOf = (name: string): Buffer => createHmac('sha256', salted).update(name).digest();
  const stored = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  return `SCRAM-SHA-256$1:${salt.toString('base64')}$${stored}:${keyOf('Server Key').toString('base64')}`;
}
