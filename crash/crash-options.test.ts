import { describe, expect, test } from 'vitest';
import { readCrashOptions } from './crash-options.ts';
import { mutants } from './mutants/all.ts';

describe('what a run is where nothing else is asked for', () => {
  test('every failpoint, three times', () => {
    expect(readCrashOptions([])).toMatchObject({
      kills: 40,
      hits: 3,
      freezes: 3,
      events: 2_000,
      sources: 'wal',
      operated: true,
    });
  });

  test.each(mutants)('what shows the mutant $name', ({ name, ...mutant }) => {
    const { kills, failpoints, freezes = 0, sources, nats = 0, operated = false } = mutant;
    const hits = failpoints === undefined ? 0 : 3;
    const { afterDeadLetter = 'continue' } = mutant;
    const usual = {
      kills,
      freezes,
      sources,
      nats,
      hits,
      events: 1_000,
      failpoints,
      operated,
      afterDeadLetter,
    };
    expect(readCrashOptions(['--mutant', name])).toMatchObject(usual);
  });

  test('what is asked for goes before that', () => {
    const args = ['--mutant', 'no-fencing', '--kills', '3', '--freezes', '0', '--sources', 'table'];
    expect(readCrashOptions(args)).toMatchObject({ kills: 3, freezes: 0, sources: 'table' });
    expect(readCrashOptions([...args, '--hits', '2', '--events', '7'])).toMatchObject({ hits: 2, events: 7 });
  });
});

test('a sink into NATS, of one server or of three', () => {
  expect(readCrashOptions([]).nats).toBe(0);
  expect(readCrashOptions(['--sink', 'nats']).nats).toBe(1);
  expect(readCrashOptions(['--sink', 'nats', '--nodes', '3']).nats).toBe(3);
  expect(readCrashOptions(['--mutant', 'nats-ignores-acks']).nats).toBe(1);
  expect(readCrashOptions(['--mutant', 'nats-ignores-acks', '--nodes', '3']).nats).toBe(3);
  expect(() => readCrashOptions(['--nodes', '3'])).toThrow('--nodes wants --sink nats');
  expect(() => readCrashOptions(['--sink', 'nats', '--nodes', '2'])).toThrow('--nodes is 1 or 3');
  expect(() => readCrashOptions(['--sink', 'kafka'])).toThrow('--sink is nats');
});

test('later events of an entity wait behind a letter in the stream, or go on', () => {
  const wait = ['--after-dead-letter', 'wait'];
  expect(readCrashOptions([]).afterDeadLetter).toBe('continue');
  expect(readCrashOptions(['--sink', 'nats', ...wait]).afterDeadLetter).toBe('wait');
  expect(readCrashOptions(['--mutant', 'letters-hold-nothing']).afterDeadLetter).toBe('wait');
  expect(() => readCrashOptions(wait)).toThrow('--after-dead-letter wait wants --sink nats');
  const wrong = ['--sink', 'nats', '--after-dead-letter', 'stop'];
  expect(() => readCrashOptions(wrong)).toThrow('--after-dead-letter is continue or wait');
});

test('failpoints that are named are hit, of a mutant, too', () => {
  const { failpoints, hits } = readCrashOptions([
    '--mutant',
    'ack-early',
    '--failpoints',
    'relay.tick,seam.join',
  ]);
  expect(failpoints).toEqual(['relay.tick', 'seam.join']);
  expect(hits).toBe(3);
});
