import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { natsAccess } from './nats-access.ts';

/** Every secret of a sink that is only referenced: what it is called, and where. */
const secrets = [
  ['access', 'token'],
  ['access', 'password'],
  ['access', 'nkeySeed'],
  ['access', 'credentials'],
  ['tls', 'ca'],
  ['tls', 'cert'],
  ['tls', 'key'],
] as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'event-runtime-access-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe.each(secrets)('%s.%s', (group, name) => {
  const of = (reference: string) => ({ name: 'nats', [group]: { [name]: reference } });
  const at = (value: string) => (group === 'tls' ? { tls: { [name]: value } } : { [name]: value });

  test('is what the variable has, or the file, at each reading anew', async () => {
    expect(await natsAccess(of('env:SECRET'), { SECRET: 'hunter2' })).toEqual(at('hunter2'));
    const path = join(folder, `${group}-${name}`);
    for (const secret of ['hunter2', 'line 1\nline 2']) {
      await writeFile(path, secret);
      expect(await natsAccess(of(`file:${path}`), {})).toEqual(at(secret));
    }
  });

  test('that leads nowhere is named, and nothing else is shown', async () => {
    const nowhere = natsAccess(of('env:SECRET'), { OTHER: 'hunter2' });
    await expect(nowhere).rejects.toMatchObject({
      code: 'ER5001',
      message: expect.stringContaining(`sink nats: ${name} cannot be had`) as string,
    });
    await expect(nowhere).rejects.not.toThrow('hunter2');
    const missing = natsAccess(of(`file:${join(folder, 'missing')}`), {});
    await expect(missing).rejects.toMatchObject({ code: 'ER5001' });
  });
});

test('a user is no secret, and goes along with its password', async () => {
  const sink = { name: 'nats', access: { user: 'relay', password: 'env:SECRET' } };
  expect(await natsAccess(sink, { SECRET: 'hunter2' })).toEqual({ user: 'relay', password: 'hunter2' });
  expect(await natsAccess({ name: 'nats' }, {})).toEqual({});
});
