/** Where the events go: what a file may have below `sinks`. */
export type ConfiguredSink = ConfiguredWebhooks | ConfiguredFile | ConfiguredNull;

/** The tenants' webhook endpoints. The role `webhooks` does the sending. */
export interface ConfiguredWebhooks {
  readonly type: 'webhooks';
}

/** A file that gets one JSON line for each event. */
export interface ConfiguredFile {
  readonly type: 'file';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
  /** A relative path begins at the folder of the configuration file. Its folder must exist. */
  readonly path: string;
}

/** Takes everything and keeps nothing: for measurements. */
export interface ConfiguredNull {
  readonly type: 'null';
  /** Its checkpoint is kept under this name: 1 to 63 of a-z, 0-9, _ and -. */
  readonly name: string;
}
