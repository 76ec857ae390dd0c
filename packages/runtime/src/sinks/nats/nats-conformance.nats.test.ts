import { describe, expect, inject, test } from 'vitest';
import { sinkConformance } from '../../testing/sink-conformance/sink-conformance.ts';
import { NatsSink } from './nats-sink.ts';
import { NatsSite } from './nats-site.suite.ts';

const program = inject('natsServer');

describe.skipIf(program === undefined)('the NATS sink, its server killed where it goes away', () => {
  const create = async (): Promise<NatsSite> => await NatsSite.create(program!);
  const cases = sinkConformance({ create, features: NatsSink.features, flightMs: 200 });
  test.each(cases)('$name [needs nats-server]', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});
