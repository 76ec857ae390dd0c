import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { DemoSetup } from './demo-setup.ts';
import { RelayProcess } from './relay-process.ts';

/**
 * The demo on the product as users run it: `event-runtime start` in a process of its own, told by its
 * environment only.
 */
export function processSetup(env: Readonly<Record<string, string | undefined>>): DemoSetup {
  // A slot's name is known in the whole cluster, and a demo may run beside another.
  const slot = `event_runtime_demo_${randomBytes(4).toString('hex')}`;
  const secretKey = randomBytes(32).toString('base64');
  return {
    slot,
    prepare() {
      throw new Error('the demo is not connected to the product yet');
    },
    relay(site, { onFailure }) {
      return new RelayProcess({
        args: [fileURLToPath(new URL('../../bin/event-runtime.js', import.meta.url)), 'start'],
        env: {
          ...env,
          DATABASE_URL: site.databaseUrl,
          EVENT_RUNTIME_SLOT: slot,
          EVENT_RUNTIME_SECRET_KEY: secretKey,
        },
        onFailure,
      });
    },
  };
}
