/** `npm run services`: finds or fetches what the tests need beside npm's packages, and says from where. */
import { obtainServices } from './services/services.ts';
import { serviceTable } from './services/table.ts';

const results = await obtainServices();
console.log(serviceTable(results, { all: true }));
process.exitCode = results.every(({ path }) => path !== undefined) ? 0 : 1;
