import { describeAdapter } from './conformance.suite.ts';
import { openPg } from './pg-host.suite.ts';

describeAdapter('pg', openPg);
