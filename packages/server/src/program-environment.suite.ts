/**
 * What a program of ours that a test starts has in its environment beside what the test gives it: nothing of this
 * machine's settings. What Node has made of the files before is told to it, so that it does not make it again.
 */
export const programEnvironment: Readonly<Record<string, string | undefined>> = {
  PATH: process.env['PATH'],
  NO_COLOR: '1',
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
};
