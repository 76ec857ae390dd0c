/** How a command ends, for scripts. */
export const exitCode = {
  /** It did what was asked. */
  ok: 0,
  /** It failed, or found what it looked for to be wrong. */
  failed: 1,
  /** The command line or a setting is not valid. */
  usage: 2,
  /** It looked, and what it looked at is not healthy. */
  notHealthy: 3,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];
