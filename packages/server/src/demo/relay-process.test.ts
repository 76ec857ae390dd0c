import { expect, test } from 'vitest';
import { relayProcess } from './relay-process.ts';

test('a relay that keeps ending by itself is a failure with its output', async () => {
  const failure = Promise.withResolvers<Error>();
  await using relay = relayProcess({
    args: ['-e', `console.error('no slot today'); process.exit(7);`],
    env: {},
    onFailure: failure.resolve,
    restartDelayMs: 5,
    maxUnaskedExits: 2,
  });
  await relay.start();
  const error = await failure.promise;
  expect(error).toMatchObject({ code: 'ER5004' });
  expect(error.message).toContain('exit code 7');
  expect(error.message).toContain('no slot today');
});
