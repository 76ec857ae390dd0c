/** ER6xxx: replays, and sinks that are rewound. */
export const replayErrors = {
  ER6001: {
    meaning: 'It is not clear which events are to be replayed, or how.',
    remedy: 'Correct what the detail names.',
    retryable: false,
  },
  ER6002: {
    meaning: 'Some of the events are not in the outbox: they never were, or retention has dropped them.',
    remedy: 'Leave out the ids that the detail names.',
    retryable: false,
  },
  ER6003: {
    meaning: 'There is no replay with this id.',
    remedy: 'Run `event-runtime replay list`.',
    retryable: false,
  },
  ER6004: {
    meaning: 'The replay is over: it cannot be paused, resumed or cancelled any more.',
    remedy: 'Make a new one, if its events are to be handed over once more.',
    retryable: false,
  },
  ER6005: {
    meaning: 'The sink cannot be rewound to that time.',
    remedy: 'Name another time, or make a replay: `event-runtime replay create`.',
    retryable: false,
  },
  ER6006: {
    meaning: 'The replay was made for a sink that was divided otherwise; it stands still.',
    remedy: 'Set relay.shards as it was, or cancel the replay and make it again.',
    retryable: false,
  },
} as const;
