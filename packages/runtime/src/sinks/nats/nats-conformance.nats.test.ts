import type { StreamConfig } from '@nats-io/jetstream';
import { describe, expect, inject, test } from 'vitest';
import { sinkConformance } from '../../testing/sink-conformance/sink-conformance.ts';
import { NatsSink } from './nats-sink.ts';
import { NatsSite } from './nats-site.suite.ts';

const program = inject('natsServer');

describe.skipIf(program === undefined).each<[batches: string, stream: Partial<StreamConfig> | undefined]>([
  ['fast', undefined],
  ['atomic', { allow_atomic: true }],
])('the NATS sink, its server killed where it goes away; batches: %s', (_batches, stream) => {
  const create = async (): Promise<NatsSite> => await NatsSite.create(program!, stream);
  const cases = sinkConformance({ create, features: NatsSink.features, flightMs: 200 });
  test.each(cases)('$name [needs nats-server]', async ({ run }) => {
    await expect(run()).resolves.toBeUndefined();
  });
});
