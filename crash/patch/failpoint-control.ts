import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ArmedFailpoint, FailpointHit } from './failpoint-hook.ts';

/** The harness's side of the failpoints: arms one at a time, and reads who killed itself. */
export class FailpointControl {
  readonly #control: string;
  readonly #report: string;

  /** @param folder an existing folder for the two files */
  constructor(folder: string) {
    this.#control = join(folder, 'armed.json');
    this.#report = join(folder, 'hits.ndjson');
  }

  /** What the process with the failpoints needs in its environment. */
  get env(): Readonly<Record<string, string>> {
    return { CRASH_CONTROL: this.#control, CRASH_REPORT: this.#report };
  }

  /** From now on a process dies at its so-manieth pass. @returns the token of this arming */
  arm(failpoint: string, pass: number): string {
    const armed: ArmedFailpoint = { failpoint, pass, token: randomUUID() };
    // Renamed into place, for it is read at any moment.
    writeFileSync(`${this.#control}.new`, JSON.stringify(armed));
    renameSync(`${this.#control}.new`, this.#control);
    return armed.token;
  }

  disarm(): void {
    rmSync(this.#control, { force: true });
  }

  /** The hit of an arming; undefined: there was none yet. */
  hitOf(token: string): FailpointHit | undefined {
    let text: string;
    try {
      text = readFileSync(this.#report, 'utf8');
    } catch {
      return undefined;
    }
    const lines = text.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as FailpointHit).find((hit) => hit.token === token);
  }
}
