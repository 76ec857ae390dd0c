/**
 * What a failpoint calls in a patched copy: the only code of the crash harness that runs inside of the product's
 * process. It is copied beside the patched packages and imports nothing of ours.
 */
import { openSync, readFileSync, writeSync } from 'node:fs';

/** What the harness writes into the control file; the file is there only while a failpoint is armed. */
export interface ArmedFailpoint {
  readonly failpoint: string;
  /** At which pass since it was armed; 1 is the first. */
  readonly pass: number;
  /** New for each arming. */
  readonly token: string;
}

/** The line that is written right before the process kills itself. */
export interface FailpointHit {
  readonly failpoint: string;
  readonly token: string;
  readonly pid: number;
  /** Milliseconds since 1970, with a fraction. */
  readonly at: number;
}

const control = process.env['CRASH_CONTROL'];
const report = process.env['CRASH_REPORT'];
let token: string | undefined;
let passes = 0;

/**
 * Kills this very process, now, when the harness has armed this failpoint and this is the pass.
 *
 * @public a mark becomes a call of it
 */
export function failpoint(name: string): void {
  if (control === undefined || report === undefined) return;
  const armed = read(control);
  if (armed?.failpoint !== name) return;
  if (armed.token !== token) passes = 0;
  token = armed.token;
  passes += 1;
  if (passes < armed.pass) return;
  const hit: FailpointHit = {
    failpoint: name,
    token: armed.token,
    pid: process.pid,
    at: performance.timeOrigin + performance.now(),
  };
  writeSync(openSync(report, 'a'), `${JSON.stringify(hit)}\n`);
  process.kill(process.pid, 'SIGKILL');
  // The signal is on its way to this very thread: nothing may run meanwhile.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
}

function read(path: string): ArmedFailpoint | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ArmedFailpoint;
  } catch {
    // Not armed.
    return undefined;
  }
}
