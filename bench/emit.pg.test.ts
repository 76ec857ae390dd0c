import { describe, expect, inject, test } from 'vitest';
import { payloadBytes } from './emit/event.ts';
import { type EmitSettings, measureEmit } from './emit/measure-emit.ts';
import { manyEvents } from './emit/sides.ts';
import { openEmitSite } from './emit/site.ts';
import { requireSameWork, type WrittenRows, writtenRows } from './emit/written-rows.ts';
import { thisMachine } from './report/machine.ts';
import { terminalReport } from './report/terminal.ts';

/** So small that the figures mean nothing; no test looks at how large they are. */
const settings: EmitSettings = { runs: 2, slices: 1, transactions: 6, manyCalls: 1, connections: 2 };

// The reference tables use uuidv7(), which PostgreSQL 18 brought.
describe('npm run bench -- emit', () => {
  test('every side writes the same rows, and the figures have the promised form', async () => {
    await using site = await openEmitSite(inject('postgres')['18']);
    const figures = await measureEmit(site, settings);

    // Two slices to warm up, one slice in each run; each with one and with several connections.
    const transactions = 4 * settings.transactions * 2;
    const written = await writtenRows(site.owner);
    expect(new Set(written.keys())).toEqual(
      new Set([
        ...['one.emit', 'one.hand', 'one.call', 'one.prep', 'key.emit', 'key.hand', 'key.call', 'key.apart'],
        ...['many.emit', 'many.hand', 'many.array'],
      ]),
    );
    for (const [side, did] of written) {
      const rows = side.startsWith('many.') ? 4 * settings.manyCalls * manyEvents : transactions;
      expect(did, side).toEqual({
        rows,
        payloadBytes: rows * payloadBytes,
        distinctIds: rows,
        versionSevenIds: rows,
        entityKeys: rows,
        idempotencyKeys: side.startsWith('key.') ? rows : 0,
      });
    }
    const { rows } = await site.owner.query<{ business: number; keys: number }>(
      `select (select count(*)::int from business_claim) as business,
              (select count(*)::int from event_runtime.outbox_key) as keys`,
    );
    expect(rows[0]).toEqual({ business: 8 * transactions, keys: 2 * transactions });

    for (const figure of figures) {
      expect(Object.keys(figure).toSorted()).toEqual([
        ...['budget', 'goal', 'id', 'label', 'met', 'ratio', 'reference', 'runs', 'spread', 'unit', 'value'],
      ]);
      const numbers = [figure.value, ...figure.spread, figure.ratio ?? 1, figure.reference ?? 1];
      expect(numbers.every((each) => Number.isFinite(each) && each > 0)).toBe(true);
      expect(figure.met === null).toBe(figure.budget === null);
    }
    const byId = new Map(figures.map((figure) => [figure.id, figure]));
    expect(byId.size).toBe(figures.length);
    expect(byId.get('E1')).toMatchObject({ runs: 2, unit: 'µs', budget: 1.1 });
    expect(byId.get('E1-key')).toMatchObject({ runs: 2, unit: 'µs', budget: 1.1 });
    expect(byId.get('E2')).toMatchObject({ runs: 2, unit: 'µs', budget: 1.15 });
    // These are counted, not timed.
    for (const id of ['E1-trips', 'E1-key-trips', 'E2-trips'])
      expect(byId.get(id)).toMatchObject({ value: 1 });

    const shown = terminalReport({ figures, versions: {}, machine: thisMachine(), settings: {} });
    for (const { id } of figures) expect(shown).toContain(`\n${id} `);
  });

  test('a side that wrote less is named, and there are no figures', () => {
    const all: WrittenRows = {
      rows: 2,
      payloadBytes: 2,
      distinctIds: 2,
      versionSevenIds: 2,
      entityKeys: 2,
      idempotencyKeys: 0,
    };
    const written = new Map([
      ['a', all],
      ['b', { ...all }],
      ['c', { ...all, rows: 1 }],
    ]);
    expect(() => requireSameWork(written, ['a', 'b'])).not.toThrow();
    expect(() => requireSameWork(written, ['a', 'c'])).toThrow(/^c wrote/);
    expect(() => requireSameWork(written, ['a', 'd'])).toThrow(/^d wrote nothing/);
    expect(() => requireSameWork(new Map(), ['a', 'b'])).toThrow(/wrote nothing/);
  });
});
