import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createLogger } from '@event-runtime/runtime';
import { stressService } from '@event-runtime/runtime/testing';
import { expect, test } from 'vitest';
import { HealthServer, type HealthServerOptions } from './health-server.ts';
import type { Readiness } from './readiness.ts';

const ready: Readiness = {
  ready: true,
  roles: ['relay'],
  holds: ['*'],
  standby: false,
  reasons: [],
  attention: [],
};

interface Fixture extends AsyncDisposable {
  readonly server: HealthServer;
  readonly lines: string[];
  readonly disposed: () => number;
  get(path: string, options?: { method?: string; headers?: Record<string, string> }): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function fixture(
  options: Partial<HealthServerOptions> & { answer?: () => Promise<Readiness> } = {},
): Fixture {
  const lines: string[] = [];
  let disposed = 0;
  const server = new HealthServer({
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ destination: { write: (line) => void lines.push(line) } }),
    answers: () => ({
      readiness: options.answer ?? (async () => ready),
      metrics: async () => 'up 1\n',
      [Symbol.asyncDispose]: async () => {
        disposed += 1;
      },
    }),
    ...options,
  });
  return {
    server,
    lines,
    disposed: () => disposed,
    async get(path, { method = 'GET', headers = {} } = {}) {
      const asked = request({ host: '127.0.0.1', port: server.address!.port, path, method, headers });
      asked.end();
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      let body = '';
      for await (const chunk of response) body += String(chunk);
      return { status: response.statusCode ?? 0, headers: response.headers, body };
    },
    [Symbol.asyncDispose]: async () => await server.stop({ graceMs: 0 }),
  };
}

test('each path answers, with its type; HEAD has no body; a query does not matter', async () => {
  await using health = fixture();
  await health.server.start();
  expect(await health.get('/livez')).toMatchObject({ status: 200, body: 'ok\n' });
  const readyz = await health.get('/readyz?verbose');
  expect(readyz).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
  expect(JSON.parse(readyz.body)).toEqual(ready);
  expect(await health.get('/metrics')).toMatchObject({
    status: 200,
    body: 'up 1\n',
    headers: { 'content-type': expect.stringContaining('version=0.0.4'), 'cache-control': 'no-store' },
  });
  expect(await health.get('/readyz', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
});

test('nothing else: other methods, other paths, whatever Host says', async () => {
  await using health = fixture();
  await health.server.start();
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    expect(await health.get('/livez', { method })).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
  }
  for (const path of ['/', '/livez/', '//livez', '/metrics/../livez', 'http://x/livez', '/LIVEZ']) {
    expect(await health.get(path)).toMatchObject({ status: 404 });
  }
  const odd = await health.get('/livez', { headers: { host: 'evil.test"><script>' } });
  expect(odd).toMatchObject({ status: 200, body: 'ok\n' });
});

test('not ready is 503, with the reasons', async () => {
  const reasons = [{ code: 'ER1001', what: 'gone', remedy: 'look' }];
  await using health = fixture({
    answer: async () => ({
      ready: false,
      roles: ['relay'],
      holds: [],
      standby: false,
      reasons,
      attention: [],
    }),
  });
  await health.server.start();
  const { status, body } = await health.get('/readyz');
  expect(status).toBe(503);
  expect(JSON.parse(body)).toMatchObject({ ready: false, reasons });
});

test('a bug in an answer is 500 without its text, and the next request is served', async () => {
  await using health = fixture({
    answer: async () => {
      throw new Error('postgres://u:hunter2@h/d');
    },
  });
  await health.server.start();
  const { status, body } = await health.get('/readyz');
  expect(status).toBe(500);
  expect(body).not.toContain('hunter2');
  expect(await health.get('/livez')).toMatchObject({ status: 200 });
});

test('a port that is taken stops nobody: it starts, says so, and serves once the port is free', async () => {
  const squatter = createServer();
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  const { port } = squatter.address() as { port: number };
  await using health = fixture({ port, retryMs: 10 });
  await health.server.start();
  expect(health.server.address).toBeUndefined();
  expect(health.lines.join('')).toMatch(/health\.unavailable.*ER5007 .* — Give another http\.port/);
  squatter.close();
  await once(squatter, 'close');
  while (health.server.address === undefined) await nextTurn();
  expect(await health.get('/livez')).toMatchObject({ status: 200 });
});

test('stopping waits for an answer that is under way, and then nobody listens', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Readiness>();
  await using health = fixture({
    answer: async () => {
      asked.resolve();
      return await answer.promise;
    },
  });
  await health.server.start();
  const { port } = health.server.address!;
  const answered = health.get('/readyz');
  await asked.promise;
  const stopped = health.server.stop({ graceMs: 60_000 });
  answer.resolve(ready);
  expect(await answered).toMatchObject({ status: 200 });
  await stopped;
  expect(health.disposed()).toBe(1);
  const again = request({ host: '127.0.0.1', port, path: '/livez' });
  again.end();
  await expect(once(again, 'response')).rejects.toThrow('ECONNREFUSED');
});

test('a client that neither asks nor goes does not keep it from ending', async () => {
  const health = fixture();
  await health.server.start();
  const idle = request({ host: '127.0.0.1', port: health.server.address!.port, path: '/livez' });
  idle.on('error', () => undefined);
  idle.flushHeaders();
  const socket = connect(health.server.address!.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  socket.write('GET /livez HTTP/1.1\r\n');
  await health.server.stop({ graceMs: 0 });
  idle.destroy();
  socket.destroy();
  expect(health.server.state).toBe('stopped');
});

test('it is a service like every other', async () => {
  let lives = 0;
  await stressService(
    () => {
      lives += 1;
      return fixture().server;
    },
    { rounds: 40 },
  );
  expect(lives).toBe(40);
});
