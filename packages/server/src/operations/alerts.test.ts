import { readFile } from 'node:fs/promises';
import { metrics, runtimeErrors } from '@event-runtime/runtime';
import { expect, test } from 'vitest';

const page = async (name: string): Promise<string> =>
  await readFile(new URL(`../../../../docs/operations/${name}`, import.meta.url), 'utf8');

interface Rule {
  readonly alert: string;
  readonly text: string;
  readonly expr: string;
}

/** The rules as they stand on the page: one list entry each. */
async function rules(): Promise<Rule[]> {
  const yaml = /```yaml\n([\s\S]*?)```/.exec(await page('alerts.md'))?.[1] ?? '';
  return yaml
    .split(/\n {6}- alert: /)
    .slice(1)
    .map((text) => ({
      alert: text.split('\n')[0] ?? '',
      text,
      expr: (/\n {8}expr: (?:>-\n)?([\s\S]*?)\n {8}(?:for|labels):/.exec(text)?.[1] ?? '').trim(),
    }));
}

/** The chapters of a page by their anchors, headings included. */
async function chapters(name: string): Promise<Map<string, string>> {
  const texts = (await page(name)).split('### <a id="').slice(1);
  return new Map(texts.map((text) => [text.slice(0, text.indexOf('"')), text.split('\n## ')[0] ?? '']));
}

test('each rule asks for metrics and labels that there are', async () => {
  const found = await rules();
  expect(found.length).toBeGreaterThanOrEqual(14);
  expect(new Set(found.map(({ alert }) => alert)).size).toBe(found.length);
  for (const { alert, text, expr } of found) {
    expect(alert).toMatch(/^EventRuntime[A-Za-z]+$/);
    const names = expr.match(/\b(?:event_runtime|nodejs|process)_[a-z0-9_]+/g) ?? [];
    expect(names.length, alert).toBeGreaterThan(0);
    for (const name of names) expect(Object.keys(metrics), alert).toContain(name);
    for (const [, name = '', label = ''] of expr.matchAll(/([a-z0-9_]+)\{(\w+)[=!]/g)) {
      expect(metrics[name as keyof typeof metrics].labels, alert).toContain(label);
    }
    for (const [, label = '', rest = ''] of expr.matchAll(/by \((\w+)\) \(([a-z0-9_]+)/g)) {
      const name = rest as keyof typeof metrics;
      if (label !== 'instance') expect(metrics[name].labels, alert).toContain(label);
    }
    expect(text).toMatch(/severity: (page|ticket) /);
    expect(expr.split('(').length, alert).toBe(expr.split(')').length);
  }
});

test('each rule leads to a chapter that names it, and no other chapter does', async () => {
  const pages = new Map([
    ['doctor.md', await chapters('doctor.md')],
    ['alerts.md', await chapters('alerts.md')],
  ]);
  const leads: string[] = [];
  for (const { alert, text } of await rules()) {
    const [, name = '', anchor = ''] = / page: '(\w+\.md)#(\w+)' \}$/m.exec(text) ?? [];
    expect(pages.get(name)?.has(anchor), `${alert} leads to a chapter`).toBe(true);
    leads.push(`${name}#${anchor}: ${alert}`);
  }
  // A chapter says of itself whose it is: with its heading, or with what stands below that.
  const named = [...pages].flatMap(([name, found]) =>
    [...found].flatMap(([anchor, text]) => {
      const [heading = '', below = ''] = text.split('\n\n');
      const own =
        name === 'alerts.md' ? heading.replace(/^.*<\/a>/, '') : below.replace(/^(?!Alerts?: ).*/s, '');
      return (own.match(/EventRuntime\w+/g) ?? []).map((alert) => `${name}#${anchor}: ${alert}`);
    }),
  );
  expect(named.toSorted()).toEqual(leads.toSorted());
});

test('what only the metrics tell has a chapter that says what to look at', async () => {
  const own = await chapters('alerts.md');
  expect(own.size).toBeGreaterThan(0);
  for (const [anchor, text] of own) {
    expect(anchor).toBe(/<\/a>(\w+)/.exec(text)?.[1]?.toLowerCase());
    for (const word of ['Means', 'Look', 'Mend']) expect(text, anchor).toContain(`**${word}** `);
  }
});

test('every state of the slot that a rule names is one that is exported', async () => {
  const { help } = metrics.event_runtime_slot_state;
  const states = (await rules()).flatMap(({ expr }) =>
    [...expr.matchAll(/state=~?"([^"]+)"/g)].flatMap(([, text = '']) => text.split('|')),
  );
  expect(states.length).toBeGreaterThan(3);
  for (const state of states) expect(help).toContain(state);
});

test('every code of the database, of its set-up and of operating it has a chapter that says what to look at', async () => {
  const found = await chapters('doctor.md');
  const codes = Object.keys(runtimeErrors).filter((code) => code.startsWith('ER1'));
  expect([...found.keys()].toSorted()).toEqual(codes.map((code) => code.toLowerCase()).toSorted());
  for (const [anchor, text] of found) {
    const code = anchor.toUpperCase();
    expect(text).toContain(`></a>${code}: `);
    // What commands refuse is a sentence each.
    if (/^ER(?:13(?:18|19|20)|140[123457])$/.test(code)) continue;
    expect(text, code).toMatch(/\*\*(?:Look|Mend)\*\*/);
  }
});
