import type { ReplayReport, ReplayWait } from '@event-runtime/runtime';
import { countText } from './quantities.ts';

/** As many as the report has at most. */
const mostReplays = 100;

const waitTexts: Readonly<Record<ReplayWait, (sink: string) => string>> = {
  relay: () => 'no relay runs',
  feed: (sink) => `the relay that runs does not feed sink ${sink} (is it in its configuration?)`,
  resume: (sink) => `sink ${sink} is paused`,
  replay: () => 'an older replay of the sink goes first',
  sink: (sink) => `sink ${sink} has not yet had all that is as old`,
};

/** Why a running replay is not handed over; undefined: nothing is known to be in the way. */
export function hindranceText(replay: {
  readonly sink: string;
  readonly waitsFor: ReplayWait | null;
  readonly trouble: string | null;
}): string | undefined {
  const { sink, waitsFor, trouble } = replay;
  const said = [
    ...(waitsFor === null ? [] : [waitTexts[waitsFor](sink)]),
    ...(trouble === null ? [] : [`the sink does not take the next: ${trouble}`]),
  ];
  return said.length === 0 ? undefined : said.join('; ');
}

/** `2 running, 1,200 events to go` */
export function replaysText(replays: readonly ReplayReport[]): string {
  if (replays.length === 0) return 'none running';
  const remaining = replays.reduce((total, { remainingEvents }) => total + remainingEvents, 0);
  return `${countText(replays.length, mostReplays)} running, ${countText(remaining)} events to go`;
}
