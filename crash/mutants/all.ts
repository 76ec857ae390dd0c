import { ackEarly } from './ack-early.ts';
import { checkpointFirst } from './checkpoint-first.ts';
import type { Mutant } from './mutant.ts';
import { natsDropsFromSubjects, natsIgnoresAcks, natsResendsOutOfOrder } from './nats.ts';
import { noFencing } from './no-fencing.ts';
import { lettersHoldNothing, redriveRemovesEarly, redriveReorders } from './redrive.ts';
import { relayReorders } from './relay-reorders.ts';
import { replaySavesEarly } from './replay-saves-early.ts';
import { retryReorders } from './retry-reorders.ts';
import { seamLsnFilter } from './seam-lsn-filter.ts';
import { cursorBySeq, publishUnflushed, xminGateOff } from './table-reader.ts';

/** Every wrong program that the harness must convict. */
export const mutants: readonly Mutant[] = [
  ackEarly,
  checkpointFirst,
  relayReorders,
  retryReorders,
  seamLsnFilter,
  xminGateOff,
  cursorBySeq,
  publishUnflushed,
  noFencing,
  natsIgnoresAcks,
  natsResendsOutOfOrder,
  natsDropsFromSubjects,
  replaySavesEarly,
  redriveRemovesEarly,
  redriveReorders,
  lettersHoldNothing,
];
