import { describeAdapter } from './conformance.suite.ts';
import { openDrizzle } from './drizzle-host.suite.ts';

describeAdapter('Drizzle', openDrizzle);
