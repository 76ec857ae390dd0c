/** ER14xx: tables that a team already has (docs/guides/existing-table.md). */
export const tableErrors = {
  ER1401: {
    meaning: 'The table cannot be attached.',
    remedy:
      'Do what the detail says. It must be a table, plain or partitioned, of your own: schema.table, written as in SQL.',
    retryable: false,
  },
  ER1402: {
    meaning: 'The mapping of the table is not valid.',
    remedy: 'Correct what the detail names: --map field=column, field=column+column or field=:constant.',
    retryable: false,
  },
  ER1403: {
    meaning: 'The table is attached already.',
    remedy: 'Run `event-runtime tables list`; to map it otherwise, detach it first.',
    retryable: false,
  },
  ER1404: {
    meaning: 'No table of this name is attached.',
    remedy: 'Run `event-runtime tables list`.',
    retryable: false,
  },
  ER1405: {
    meaning: 'The trigger of an attached table is missing or disabled: its rows are no events.',
    remedy:
      'Run `event-runtime tables detach` and `tables attach` again; rows that came meanwhile are not events.',
    retryable: false,
  },
  ER1406: {
    meaning: 'A mapped column of an attached table is missing: every INSERT into the table fails.',
    remedy:
      'Give the column its name back, or run `event-runtime tables detach` and attach it with its new name.',
    retryable: false,
  },
  ER1407: {
    meaning: 'The locks on the tables were not to be had in time.',
    remedy: 'Nothing is blocked; run it again. A transaction left open for long is the usual cause.',
    retryable: true,
  },
} as const;
