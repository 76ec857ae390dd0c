import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OrderingLanes } from './ordering-lanes.ts';

interface Delivery {
  readonly number: number;
  readonly place: bigint;
  readonly endpointId: string;
  readonly group: string | null;
}

const limits = { inFlight: 100, inFlightPerEndpoint: 100 };

function delivery(number: number, group: string | null, endpointId = 'e'): Delivery {
  return { number, place: BigInt(number), group, endpointId };
}

test('invariant 1: one group goes one after another, others beside it', () => {
  const lanes = new OrderingLanes<Delivery>(limits);
  const [a1, a2, b1] = [delivery(1, 'a'), delivery(2, 'a'), delivery(3, 'b')];
  for (const each of [a1, a2, b1]) expect(lanes.add(each)).toBe(true);
  expect([lanes.next(), lanes.next(), lanes.next()]).toEqual([a1, b1, undefined]);
  lanes.succeed(a1);
  expect(lanes.next()).toBe(a2);
});

test('invariant 1: what is older than what waits goes before it, not beside what is under way', () => {
  const lanes = new OrderingLanes<Delivery>(limits);
  const [first, third, fifth] = [delivery(1, 'a'), delivery(3, 'a'), delivery(5, 'a')];
  for (const each of [first, third, fifth]) lanes.add(each);
  expect(lanes.next()).toBe(first);
  const [older, oldest] = [delivery(-4, 'a'), delivery(-9, 'a')];
  for (const each of [older, oldest]) expect(lanes.add(each)).toBe(true);
  expect(lanes.next()).toBeUndefined();
  const came: Delivery[] = [];
  for (let done: Delivery | undefined = first; done !== undefined; ) {
    lanes.succeed(done);
    done = lanes.next();
    if (done !== undefined) came.push(done);
  }
  expect(came).toEqual([oldest, older, third, fifth]);
});

test('without a group everything goes at once', () => {
  const lanes = new OrderingLanes<Delivery>(limits);
  lanes.add(delivery(1, null));
  lanes.add(delivery(2, null));
  expect([lanes.next()?.number, lanes.next()?.number]).toEqual([1, 2]);
});

test('invariant 2: a failure gives back what waited, and refuses its group until it is mended', () => {
  const lanes = new OrderingLanes<Delivery>(limits);
  const [first, second, third, fourth] = [1, 2, 3, 4].map((number) => delivery(number, 'a')) as [
    Delivery,
    Delivery,
    Delivery,
    Delivery,
  ];
  lanes.add(first);
  lanes.add(second);
  lanes.next();
  expect(lanes.fail(first)).toEqual([second]);
  expect(lanes.add(third)).toBe(false);
  expect(lanes.next()).toBeUndefined();
  expect(lanes.held).toBe(0);
  lanes.mend('a');
  expect(lanes.add(fourth)).toBe(true);
  expect(lanes.next()).toBe(fourth);
});

test('invariant 3: an endpoint at its limit keeps no other from coming', () => {
  const lanes = new OrderingLanes<Delivery>({ inFlight: 3, inFlightPerEndpoint: 1 });
  for (const number of [1, 2, 3]) lanes.add(delivery(number, null, 'hung'));
  lanes.add(delivery(4, null, 'healthy'));
  expect([lanes.next()?.number, lanes.next()?.number, lanes.next()]).toEqual([1, 4, undefined]);
  expect(lanes.endpointsHolding(3)).toEqual(['hung']);
});

test('property: order, limits and counts hold under any sequence of events', () => {
  const command = fc.record({
    kind: fc.constantFrom('add', 'add', 'next', 'succeed', 'fail', 'mend'),
    group: fc.constantFrom('a', 'b', 'c', null),
    endpointId: fc.constantFrom('e', 'f'),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
      const lanes = new OrderingLanes<Delivery>({ inFlight: 4, inFlightPerEndpoint: 3 });
      const flying: Delivery[] = [];
      const waiting: Delivery[] = [];
      const broken = new Set<string>();
      for (const [number, { kind, group: name, endpointId, pick }] of commands.entries()) {
        const group = name === null ? null : `${endpointId}/${name}`;
        if (kind === 'add') {
          const added = { number, place: BigInt(number), endpointId, group };
          expect(lanes.add(added)).toBe(group === null || !broken.has(group));
          if (group === null || !broken.has(group)) waiting.push(added);
        } else if (kind === 'next') {
          const free = waiting.find(
            (one, at) =>
              flying.length < 4 &&
              flying.filter((other) => other.endpointId === one.endpointId).length < 3 &&
              (one.group === null ||
                ![...flying, ...waiting.slice(0, at)].some((other) => other.group === one.group)),
          );
          const got = lanes.next();
          // Which lane is asked first is free; that something comes exactly when something may, is not.
          expect(got === undefined).toBe(free === undefined);
          if (got === undefined) continue;
          expect(flying.some((other) => other.group !== null && other.group === got.group)).toBe(false);
          expect(waiting.find((one) => one.group === got.group && (got.group !== null || one === got))).toBe(
            got,
          );
          waiting.splice(waiting.indexOf(got), 1);
          flying.push(got);
        } else if (kind === 'mend') {
          lanes.mend(group);
          if (group !== null) broken.delete(group);
        } else {
          const done = flying[pick % Math.max(1, flying.length)];
          if (done === undefined) continue;
          flying.splice(flying.indexOf(done), 1);
          if (kind === 'succeed') lanes.succeed(done);
          else {
            const behind = waiting.filter((one) => one.group !== null && one.group === done.group);
            expect(lanes.fail(done)).toEqual(behind);
            for (const one of behind) waiting.splice(waiting.indexOf(one), 1);
            if (done.group !== null) broken.add(done.group);
          }
        }
        expect([lanes.inFlight, lanes.held]).toEqual([flying.length, flying.length + waiting.length]);
      }
    }),
  );
});
