import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { onlyWhileValid } from './only-while-valid.ts';

let server: Server;
let agent: Agent;
let bodies: string[];
let held: boolean;

beforeEach(async () => {
  bodies = [];
  held = true;
  server = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk) => {
      body += String(chunk);
    });
    incoming.on('end', () => {
      bodies.push(body);
      response.end('taken');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  agent = new Agent();
});

afterEach(async () => {
  await agent.destroy();
  server.close();
});

async function post(body: string): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const answer = await request(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    body,
    dispatcher: agent.compose(onlyWhileValid(() => held)),
  });
  return await answer.body.text();
}

/** Held when it is handed over, and no more when it could be written. */
async function postTooLate(body: string): Promise<string> {
  const posting = post(body);
  held = false;
  return await posting;
}

test('requests go, and their answers come back', async () => {
  expect([await post('1'), await post('2')]).toEqual(['taken', 'taken']);
  expect(bodies).toEqual(['1', '2']);
});

test('a request that waits for a new connection is not written when it is there', async () => {
  await expect(postTooLate('late')).rejects.toMatchObject({ code: 'ER1207' });
  expect(bodies).toEqual([]);
});

test('a request on a connection that was used before is not written a turn later', async () => {
  await post('1');
  await expect(postTooLate('late')).rejects.toMatchObject({ code: 'ER1207' });
  expect(bodies).toEqual(['1']);
  held = true;
  await post('2');
  expect(bodies).toEqual(['1', '2']);
});
