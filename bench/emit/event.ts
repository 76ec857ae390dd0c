import {
  type Catalog,
  createOutbox,
  defineCatalog,
  defineEvent,
  fromPg,
  type Outbox,
  type PgTransaction,
} from '@event-runtime/outbox';
import { z } from 'zod';

/** The bytes of one payload: the size that the other measurements of this project use. */
export const payloadBytes = 458;
export const tenant = 'acme-insurance';

const schema = z.object({
  claimId: z.string(),
  policy: z.string(),
  state: z.enum(['opened', 'approved', 'paid']),
  amount: z.number().positive(),
  currency: z.string().length(3),
  approvedBy: z.string(),
  lines: z.array(z.object({ code: z.string(), amount: z.number() })),
  note: z.string(),
});

/** What a claim's event says. */
export type Claim = z.output<typeof schema>;

export const claimApproved = defineEvent('claim.approved', { schema, key: (data: Claim) => data.claimId });

/** A claim whose JSON has {@link payloadBytes} bytes. */
export function claim(claimId: string): Claim {
  const data: Claim = {
    claimId,
    policy: 'P-2026-000417',
    state: 'approved',
    amount: 1250.5,
    currency: 'BRL',
    approvedBy: 'ana@example.com',
    lines: [
      { code: 'parts', amount: 1000 },
      { code: 'labour', amount: 250.5 },
    ],
    note: '',
  };
  const missing = payloadBytes - Buffer.byteLength(JSON.stringify(data));
  return { ...data, note: 'The bumper and the left lamp. '.repeat(20).slice(0, missing) };
}

/** An outbox as a service makes it; `source` tells the rows of one side from those of another. */
export function outboxOf(source: string): Outbox<Catalog<typeof claimApproved>, PgTransaction> {
  return createOutbox({ catalog: defineCatalog({ source, events: [claimApproved] }), adapter: fromPg() });
}
