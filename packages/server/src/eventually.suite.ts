import { setTimeout as sleep } from 'node:timers/promises';

/** A minute and what the answers take. */
const attempts = 2_400;

/** Asks until the answer is as wanted; there is no event for what the server does by itself. */
export async function eventually<T>(ask: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const value = await ask();
    if (wanted(value)) return value;
    if (attempt === attempts) throw new Error(`never as wanted; at last ${JSON.stringify(value)}`);
    await sleep(25);
  }
}
