import { entityKeyOf } from '../emit/entity-key.ts';
import { parseData } from '../emit/parse-data.ts';
import { toPayload } from '../emit/payload.ts';
import { isEventRuntimeError } from '../errors/coded-error.ts';
import { type Catalog, eventName } from './define-catalog.ts';

/** An example that could not be emitted. */
export interface CatalogFinding {
  /** `order.placed v1` */
  readonly event: string;
  /** Position in the event's `examples`, from 0. */
  readonly example: number;
  /** ER2001, ER2007 or ER2008. */
  readonly code: string;
  readonly message: string;
}

/**
 * Checks every example of a catalogue as `emit` would: against its schema, as JSON, and for its key.
 * Made for a test of your own: `expect(await checkCatalog(catalog)).toEqual([])`.
 *
 * @returns what is wrong, in the catalogue's order; empty when all is well
 */
export async function checkCatalog(
  catalog: Catalog,
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly CatalogFinding[]> {
  const findings: CatalogFinding[] = [];
  for (const event of catalog.events) {
    const label = eventName(event);
    for (const [example, data] of event.examples.entries()) {
      options.signal?.throwIfAborted();
      try {
        const { value } = await parseData(event, { data, label });
        toPayload(label, value);
        entityKeyOf(event, { data: value, label });
      } catch (error) {
        if (!isEventRuntimeError(error)) throw error;
        findings.push({ event: label, example, code: error.code, message: error.message });
      }
    }
  }
  return findings;
}
