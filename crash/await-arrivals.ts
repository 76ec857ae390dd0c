import { setTimeout as sleep } from 'node:timers/promises';
import { countNatsMessages } from '@event-runtime/runtime/testing';
import type pg from 'pg';
import type { Operator } from './operator/operator.ts';
import { type Broker, stream } from './processes/broker.ts';
import { fileSink, natsSink } from './processes/under-test.ts';
import { readFileArrivals } from './receiver/file-arrivals.ts';
import { readNatsArrivals } from './receiver/nats-arrivals.ts';
import type { Traffic } from './verdict/traffic.ts';
import { readLedger, readReplays } from './workload/ledger.ts';

export interface AwaitArrivalsOptions {
  readonly pool: pg.Pool;
  readonly traffic: Traffic;
  readonly sinkFile: string;
  readonly broker: Broker | undefined;
  readonly operator: Operator | undefined;
  /** Milliseconds that nothing may come until what is missing counts as lost. */
  readonly quietMs: number;
  readonly signal: AbortSignal;
}

/**
 * Waits until everything that was committed has come, and everything that was to be replayed or redriven, or until
 * nothing comes any more.
 */
export async function awaitArrivals(options: AwaitArrivalsOptions): Promise<void> {
  const { pool, traffic, operator, quietMs, signal } = options;
  const eventIds = (await readLedger(pool)).map(({ eventId }) => eventId);
  const replays = await readReplays(pool);
  const marked = (sink: string): string[] =>
    replays.filter((each) => each.sink === sink).flatMap(({ id, eventIds: ids }) => ids.map(keyOf(id)));
  const wanted = { file: [...eventIds, ...marked(fileSink)], stream: [...eventIds, ...marked(natsSink)] };
  let [moved, movedAt] = [0, performance.now()];
  for (;;) {
    await operator?.redriveRest();
    const file = await inFile(options);
    const inStream = await inStreamOf(options.broker);
    const enough = inStream === undefined || inStream >= wanted.stream.length;
    const others = eventIds.every((id) => traffic.has(id)) && wanted.file.every((key) => file.has(key));
    if (enough && others && (await streamHas(options.broker, wanted.stream))) break;
    const come = traffic.arrived + file.size + (inStream ?? 0);
    if (come !== moved) [moved, movedAt] = [come, performance.now()];
    if (performance.now() - movedAt > quietMs) return;
    await sleep(250, undefined, { signal });
  }
  // What should not come needs a moment to come.
  await sleep(1_000, undefined, { signal });
}

/** Of an event by a replay, or by none. */
function keyOf(replay: string | undefined): (eventId: string) => string {
  return replay === undefined ? (eventId) => eventId : (eventId) => `${eventId} ${replay}`;
}

async function inFile({ sinkFile, signal }: AwaitArrivalsOptions): Promise<ReadonlySet<string>> {
  const arrivals = await readFileArrivals(sinkFile, signal);
  return new Set(arrivals.map(({ eventId, replay }) => keyOf(replay)(eventId)));
}

/** Of some there may be copies, of what the stream had forgotten: their number alone does not say that all are there. */
async function streamHas(broker: Broker | undefined, wanted: readonly string[]): Promise<boolean> {
  if (broker === undefined) return true;
  const arrivals = await readNatsArrivals(broker.urls, stream);
  const there = new Set(arrivals.map(({ eventId, replay }) => keyOf(replay)(eventId)));
  return wanted.every((key) => there.has(key));
}

/** How many messages the stream has; undefined: there is no sink into NATS. */
async function inStreamOf(broker: Broker | undefined): Promise<number | undefined> {
  return broker === undefined ? undefined : await countNatsMessages(broker.urls, stream);
}
