export type { ConfigurationFile } from './config/configuration-file.ts';
export type {
  ConfiguredFile,
  ConfiguredNull,
  ConfiguredSink,
  ConfiguredWebhooks,
} from './config/configured-sink.ts';
export { defineConfig } from './config/define-config.ts';
