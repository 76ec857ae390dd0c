import { expect, test } from 'vitest';
import { StreamVerdict } from './stream-verdict.ts';

type Message = readonly [id: string, seq: number, entity: string];

const [a, b, c]: Message[] = [
  ['a', 1, 'x'],
  ['b', 2, 'y'],
  ['c', 3, 'x'],
];

test.each<[string, Array<Message | undefined>, string | undefined]>([
  ['all, in order', [a, b, c], undefined],
  ['all, in the order of each entity', [b, a, c], undefined],
  ['one missing', [a, c], '2 messages for 3 events: 1 are lost, 0 are there twice'],
  ['one twice in place of another', [a, a, c], '3 messages for 3 events: 1 are lost, 1 are there twice'],
  ['one of another run', [a, b, c, ['d', 4, 'x']], '4 messages for 3 events: 0 are lost, 1 are there twice'],
  [
    'one behind a later one of its entity',
    [c, a, b],
    '0 are lost, 0 are there twice or are none of them, 1 are behind',
  ],
])('%s: as judged', (_name, messages, complaint) => {
  const verdict = new StreamVerdict(['a', 'b', 'c']);
  for (const message of messages) {
    if (message !== undefined) verdict.see({ id: message[0], seq: message[1], entity: message[2] });
  }
  if (complaint === undefined) expect(verdict.complaint).toBeUndefined();
  else expect(verdict.complaint).toContain(complaint);
});
