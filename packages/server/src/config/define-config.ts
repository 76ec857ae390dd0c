import type { ConfigurationFile } from './configuration-file.ts';

/**
 * Types a configuration file: `export default defineConfig({ … })`. It gives back what it is given; the settings are
 * checked when the service starts.
 */
export function defineConfig(configuration: ConfigurationFile): ConfigurationFile {
  return configuration;
}
