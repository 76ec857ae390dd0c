import { describeAdapter } from './conformance.suite.ts';
import { prismaHost } from './prisma-host.suite.ts';

describeAdapter('Prisma', await prismaHost('adapter'));
