#!/usr/bin/env node
import { keepHeapSmall } from '../dist/service/small-heap.js';

// Before anything else is loaded: the heap grows by that, and does not shrink.
keepHeapSmall();
const { main } = await import('../dist/cli/main.js');
await main();
