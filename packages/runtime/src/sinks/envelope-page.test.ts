import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { OutboxEvent } from '../log/outbox-event.ts';
import { requestHeaders } from '../webhooks/delivery-request.ts';
import { envelopeAttributes, envelopeVersion } from './envelope.ts';
import { HeaderWriter } from './nats/header-writer.ts';
import { natsHeaders } from './nats/nats-envelope.ts';
import { defaultSubject, SubjectTemplate } from './nats/subject-template.ts';

const page = readFileSync(new URL('../../../../docs/reference/envelope.md', import.meta.url), 'utf8');

function block(language: string): string {
  const text = new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)?.[1];
  if (text === undefined) throw new TypeError(`the page has no ${language} block`);
  return text;
}

/** The row of the example; what is text in JSON and not in an event is turned into what an event has. */
function example(): OutboxEvent {
  const row = JSON.parse(block('json')) as OutboxEvent & { readonly seq: string; readonly payload: string };
  return { ...row, seq: BigInt(row.seq), payload: Buffer.from(row.payload) };
}

const secret = /the secret `(whsec_[^`]+)`/.exec(page)?.[1] ?? '';
const second = Number(/at second (\d+)/.exec(page)?.[1]);

test("the page's request is what a delivery of the page's event sends", () => {
  const event = example();
  const headers = requestHeaders(event, { secrets: [secret], now: second * 1_000 + 999 });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  // The version is the package's, and changes with every release.
  const request = ['POST / HTTP/1.1', ...lines, '', event.payload.toString(), '']
    .join('\n')
    .replace(/^(user-agent: event-runtime\/).*$/m, '$1<version>');
  expect(block('http')).toBe(request);
});

test("the page's message is what the NATS sink publishes of the page's event", () => {
  const event = example();
  const headers = natsHeaders(event, { stream: 'EVENTS', writer: new HeaderWriter() }).toString();
  const message = `${headers}${event.payload.toString()}\r\n`.replaceAll('\r\n', '\n');
  expect(message).toBe(`NATS/1.0\n${block('nats')}`);
  expect(page).toContain(`\`${new SubjectTemplate(defaultSubject).of(event)}\``);
  expect(page).toContain(`\`${defaultSubject}\``);
});

test("the page's table names every attribute, in the code's order, and says which may be missing", () => {
  const bare = { ecosystem: null, entityKey: null, correlationId: null, causationId: null };
  const full = { ecosystem: 'ofb', entityKey: 'o-1', correlationId: 'c', causationId: 'd', replay: 'r' };
  const names = (more: Partial<OutboxEvent>): string[] =>
    envelopeAttributes({ ...example(), ...more }).map(([name]) => name);
  const section = /^## Attributes\n([\s\S]*?)^Beside/m.exec(page)?.[1] ?? '';
  const rows = [...section.matchAll(/^\| `(\w+)` \|.*\| ([^|]+) \|$/gm)].map((row) => row.slice(1));
  expect(rows.map(([name]) => name)).toEqual(names(full));
  const always = rows.filter(([, present]) => (present ?? '').startsWith('always'));
  expect(always.map(([name]) => name)).toEqual(names(bare));
});

test("the page's version is the code's", () => {
  expect(page).toContain(`# The envelope, version ${envelopeVersion}\n`);
  expect(page).toContain(`\`ce-envelope\` is ${envelopeVersion}.`);
});
