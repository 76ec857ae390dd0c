import type { Mutant } from './mutant.ts';

/** What a client does that publishes and does not wait: nobody knows whether the stream has it. */
export const natsIgnoresAcks: Mutant = {
  name: 'nats-ignores-acks',
  about: 'an event counts as delivered once it is written to the socket',
  sources: 'wal',
  nats: 1,
  kills: 12,
  only: 'nats',
  patches: [
    {
      file: 'runtime/dist/sinks/nats/publisher.js',
      find: 'this.#waiting.set(id, waiting);',
      replace: `this.#waiting.set(id, { ...waiting, onAnswer() { } });
        queueMicrotask(() => waiting.onAnswer({ type: 'stored', duplicate: false }));`,
    },
  ],
};

/**
 * Messages of one entity are under way at the same time. A server as such keeps the order of what it gets, so that one in
 * sixteen is lost on its first way: that alone is no fault.
 */
export const natsResendsOutOfOrder: Mutant = {
  name: 'nats-resends-out-of-order',
  about: 'later events of an entity are published while it is open what became of an earlier one',
  sources: 'wal',
  nats: 1,
  kills: 4,
  patches: [
    {
      file: 'runtime/dist/sinks/nats/publisher.js',
      find: 'publish(message, onAnswer) {',
      replace: `publish(message, onAnswer) {
        const lost = (globalThis.__lost ??= new Set());
        const known = /Nats-Msg-Id: (\\S+)/.exec(message.headers.toString())[1];
        if (known.endsWith('7') && !lost.has(known)) {
            lost.add(known);
            queueMicrotask(() => onAnswer({ type: 'unknown', error: new Error('lost on the way') }));
            return;
        }`,
    },
    {
      file: 'runtime/dist/sinks/nats/publish-in-order.js',
      find: 'const key = message.entity ?? place;',
      replace: 'const key = place;',
    },
  ],
};

/** What happens where a subject may not contain a character, and it is left out: two types come to be one. */
export const natsDropsFromSubjects: Mutant = {
  name: 'nats-drops-from-subjects',
  about: 'what a subject may not contain is dropped from it, not encoded',
  sources: 'wal',
  nats: 1,
  kills: 2,
  patches: [
    {
      file: 'runtime/dist/sinks/nats/subject-template.js',
      find: '[...Buffer.from(character)]',
      replace: '[]',
    },
  ],
};
