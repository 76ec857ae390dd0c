import { pageLimits } from '../../packages/runtime/src/log/table-reader.ts';
import { relayLimits } from '../../packages/runtime/src/relay/relay-limits.ts';
import { Product, type ProductOptions } from './product.ts';

/** How much the product takes at a time, and how often; a benchmark prints it with its settings. */
export interface ProductLimits {
  readonly batchEvents: number;
  readonly batchBytes: number;
  /** Of the table. */
  readonly pageEvents: number;
  readonly pageBytes: number;
  readonly windowBytes: number;
  /** What one sink may have in hand: read, and not yet delivered. */
  readonly inHandBytes: number;
  readonly checkpointMs: number;
  readonly pollMs: number;
}

/**
 * The limits in effect: what can be set is asked of `event-runtime config` with the configuration that is measured,
 * what cannot is what the product itself is built with.
 */
export async function productLimits(options: ProductOptions): Promise<ProductLimits> {
  const settings = await Product.settings(options);
  const set = (path: string): number => {
    const value = settings.get(path);
    if (typeof value !== 'number') throw new TypeError(`the product has no number ${path}`);
    return value;
  };
  const windowBytes = set('relay.windowBytes');
  return {
    batchEvents: relayLimits.batch.events,
    batchBytes: relayLimits.batch.bytes,
    pageEvents: pageLimits.events,
    pageBytes: pageLimits.bytes,
    windowBytes,
    inHandBytes: windowBytes * relayLimits.inHandPart,
    checkpointMs: relayLimits.checkpointMs,
    pollMs: set('relay.pollMs'),
  };
}
