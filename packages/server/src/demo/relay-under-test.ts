/** What the demo starts, kills and stops: a relay that carries committed events to the receiver. */
export interface RelayUnderTest extends AsyncDisposable {
  /** Starts it; called again after {@link kill}. */
  start(): Promise<void>;
  /**
   * Ends it as a crash would, with no chance to finish anything. Resolves when it is gone.
   *
   * @returns false when it was not running, so that nothing was killed
   */
  kill(): Promise<boolean>;
  /** Lets it finish what is in flight and end. Resolves when nothing more can come from it. */
  stop(): Promise<void>;
}
