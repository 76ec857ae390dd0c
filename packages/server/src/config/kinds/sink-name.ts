import { pattern } from './pattern.ts';

/** The name that the checkpoint of a sink is kept under. */
export const sinkName: ReturnType<typeof pattern> = pattern({
  pattern: '[a-z0-9][a-z0-9_-]{0,62}',
  allowed: '1 to 63 of a-z, 0-9, _ and -, the first no _ or -',
  placeholder: 'name',
});
