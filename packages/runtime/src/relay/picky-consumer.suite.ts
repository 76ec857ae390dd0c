import { Consumer, type RelayFixture } from './relay-fixture.suite.ts';

/** Refuses for good what `refuses` says, and turns away what the gate throws for. */
export class Picky extends Consumer {
  refuses: (type: string) => boolean = (type) => type.startsWith('poison');
  readonly handed: string[] = [];
  /** Batches with events of several replays, or of one and of none. */
  mixed = 0;
  /** Its answers wait for this. */
  answers: Promise<void> | undefined;

  override sink(): ReturnType<Consumer['sink']> {
    const inner = super.sink();
    const deliver = inner.deliver.bind(inner);
    return Object.assign(inner, {
      deliver: async (...[batch, options]: Parameters<typeof deliver>) => {
        for (const { event } of batch.events) this.handed.push(event.eventType);
        if (new Set(batch.events.map(({ event }) => event.replay)).size > 1) this.mixed += 1;
        const taken = batch.events.filter(({ event }) => !this.refuses(event.eventType));
        const results = [...(await deliver({ ...batch, events: taken }, options))];
        await this.answers;
        return batch.events.map(({ event }) =>
          this.refuses(event.eventType)
            ? { type: 'rejected' as const, reason: `too bitter: ${event.eventType}` }
            : (results.shift() as NonNullable<(typeof results)[0]>),
        );
      },
    });
  }
}

/** Asks for dead letters as the command does. */
export async function redriveLetters(fixture: RelayFixture, where = 'true'): Promise<void> {
  await fixture.rows(
    `update event_runtime.dead_letter set state = 'redriving', redrives = redrives + 1 where ${where}`,
  );
}
