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

test('each rule asks for metrics and labels that there are, and each has its chapter', async () => {
  const doctor = await page('doctor.md');
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
    for (const [, label = '', rest = ''] of expr.matchAll(/by \((\w+)\) \(((?:delta\()?[a-z0-9_]+)/g)) {
      const name = rest.replace('delta(', '') as keyof typeof metrics;
      if (label !== 'instance') expect(metrics[name].labels, alert).toContain(label);
    }
    expect(text).toMatch(/severity: (page|ticket) /);
    const anchor = /page: 'doctor\.md#(er\d{4})'/.exec(text)?.[1];
    expect(doctor, alert).toContain(`<a id="${anchor}"></a>`);
    expect(expr.split('(').length, alert).toBe(expr.split(')').length);
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
  const chapters = new Map(
    (await page('doctor.md'))
      .split('### <a id="')
      .slice(1)
      .map((text) => [text.slice(0, text.indexOf('"')).toUpperCase(), text]),
  );
  const codes = Object.keys(runtimeErrors).filter((code) => code.startsWith('ER1'));
  expect([...chapters.keys()].toSorted()).toEqual(codes.toSorted());
  for (const [code, text] of chapters) {
    expect(text).toContain(`></a>${code}: `);
    // What commands refuse is a sentence each.
    if (/^ER(?:13(?:18|19|20)|140[123457])$/.test(code)) continue;
    expect(text, code).toMatch(/\*\*(?:Look|Mend)\*\*/);
  }
});
