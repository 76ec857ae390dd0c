export type { ConfigurationFile } from './config/configuration-file.ts';
export type {
  ConfiguredCustom,
  ConfiguredFile,
  ConfiguredNats,
  ConfiguredNatsAccess,
  ConfiguredNatsTls,
  ConfiguredNull,
  ConfiguredSink,
  ConfiguredStream,
  ConfiguredWebhooks,
} from './config/configured-sink.ts';
export { defineConfig } from './config/define-config.ts';
