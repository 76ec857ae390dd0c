/** How long one Ctrl-C may keep coming. Milliseconds. */
const echoMs = 1_000;

/**
 * Tells a Ctrl-C that came twice from a second one.
 *
 * A terminal sends it to every process in its foreground, and npm passes its own on to what it started. Where that
 * is the shell, no harm is done; where the shell gave way to its last command, as bash does, one Ctrl-C comes as two
 * SIGINT. Taken for a second one, it would end the process with nothing cleaned up.
 */
export class RepeatedSignal {
  #since: number | undefined;

  /**
   * @param now milliseconds of a clock that never goes back
   * @returns whether this signal is one that was heard before
   */
  isEcho(name: NodeJS.Signals, now: number): boolean {
    if (name !== 'SIGINT') return false;
    if (this.#since !== undefined && now - this.#since < echoMs) return true;
    this.#since = now;
    return false;
  }
}
