import type { Composition } from './composition.ts';

/** The commands as shipped. Each loads its own code when it runs, so that `--help` is quick. */
export const composition: Composition = {
  async start(context, given) {
    const { startCommand } = await import('../service/start-command.ts');
    return await startCommand(context, given);
  },
  async configShow(context, given) {
    const { configShowCommand } = await import('../config/config-command.ts');
    return await configShowCommand(context, given);
  },
  async configSchema(context) {
    const { configSchemaCommand } = await import('../config/config-command.ts');
    return await configSchemaCommand(context);
  },
  async dev(context) {
    const { devCommand } = await import('../dev/dev-command.ts');
    return await devCommand(context);
  },
  async migrate(context, options) {
    const { migrateCommand } = await import('../service/migrate-command.ts');
    return await migrateCommand(context, options);
  },
  async demo(context, options) {
    const [{ demoCommand }, { processSetup }] = await Promise.all([
      import('../demo/demo-command.ts'),
      import('../demo/process-setup.ts'),
    ]);
    return await demoCommand(context, options, processSetup(context.env));
  },
  async explain(context, options) {
    const { explainCommand } = await import('./explain-command.ts');
    return await explainCommand(context, options);
  },
  async status(context, given) {
    const { statusCommand } = await import('../operations/status-command.ts');
    return await statusCommand(context, given);
  },
  async lag(context, options) {
    const { lagCommand } = await import('../operations/lag-command.ts');
    return await lagCommand(context, options);
  },
  async doctor(context, given) {
    const { doctorCommand } = await import('../operations/doctor-command.ts');
    return await doctorCommand(context, given);
  },
  async slot(context, options) {
    const { slotCommand } = await import('../operations/slot-command.ts');
    return await slotCommand(context, options);
  },
  async sinksList(context, given) {
    const { sinksListCommand } = await import('../operations/sinks-command.ts');
    return await sinksListCommand(context, given);
  },
  async sinkPause(context, options) {
    const { sinkPauseCommand } = await import('../operations/sinks-command.ts');
    return await sinkPauseCommand(context, options);
  },
  async sinkRewind(context, options) {
    const { sinkRewindCommand } = await import('../operations/rewind-command.ts');
    return await sinkRewindCommand(context, options);
  },
  async replayCreate(context, options) {
    const { replayCreateCommand } = await import('../operations/replay-command.ts');
    return await replayCreateCommand(context, options);
  },
  async replayList(context, options) {
    const { replayListCommand } = await import('../operations/replay-command.ts');
    return await replayListCommand(context, options);
  },
  async replayShow(context, options) {
    const { replayShowCommand } = await import('../operations/replay-command.ts');
    return await replayShowCommand(context, options);
  },
  async replayChange(context, options) {
    const { replayChangeCommand } = await import('../operations/replay-command.ts');
    return await replayChangeCommand(context, options);
  },
  async deadLettersList(context, options) {
    const { deadLettersListCommand } = await import('../operations/dead-letters-command.ts');
    return await deadLettersListCommand(context, options);
  },
  async deadLetterShow(context, options) {
    const { deadLetterShowCommand } = await import('../operations/dead-letters-command.ts');
    return await deadLetterShowCommand(context, options);
  },
  async deadLettersRedrive(context, options) {
    const { deadLettersRedriveCommand } = await import('../operations/redrive-command.ts');
    return await deadLettersRedriveCommand(context, options);
  },
  async deadLettersCancel(context, options) {
    const { deadLettersCancelCommand } = await import('../operations/cancel-command.ts');
    return await deadLettersCancelCommand(context, options);
  },
  async deadLettersDiscard(context, options) {
    const { deadLettersDiscardCommand } = await import('../operations/discard-command.ts');
    return await deadLettersDiscardCommand(context, options);
  },
  async routesTest(context, options) {
    const { routesTestCommand } = await import('../operations/routes-command.ts');
    return await routesTestCommand(context, options);
  },
  async tableAttach(context, options) {
    const { tableAttachCommand } = await import('../operations/tables-command.ts');
    return await tableAttachCommand(context, options);
  },
  async tableDetach(context, options) {
    const { tableDetachCommand } = await import('../operations/tables-command.ts');
    return await tableDetachCommand(context, options);
  },
  async tablesList(context, given) {
    const { tablesListCommand } = await import('../operations/tables-command.ts');
    return await tablesListCommand(context, given);
  },
  async relayConfig(context, options) {
    const { relayConfigCommand } = await import('../operations/relay-config-command.ts');
    return await relayConfigCommand(context, options);
  },
  async uninstall(context, options) {
    const { uninstallCommand } = await import('../operations/uninstall-command.ts');
    return await uninstallCommand(context, options);
  },
};
