import type { Composition } from './composition.ts';

/** The commands as shipped. Each loads its own code when it runs, so that `--help` is quick. */
export const composition: Composition = {
  start() {
    throw new Error('start is not put together yet');
  },
  dev() {
    throw new Error('dev is not put together yet');
  },
  migrate() {
    throw new Error('migrate is not put together yet');
  },
  async demo(context, options) {
    const [{ demoCommand }, { processSetup }] = await Promise.all([
      import('../demo/demo-command.ts'),
      import('../demo/process-setup.ts'),
    ]);
    return await demoCommand(context, options, processSetup(context.env));
  },
};
