/** Of the commands that say how far they have come. */
export const quietFlag = ['--quiet', 'print results, warnings and errors, and no progress'] as const;

/** Of the commands that change something. */
export const dryRunFlag = ['--dry-run', 'say what would change, and change nothing', false] as const;
