import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { errorCatalog } from './error-catalog.ts';
import { errorPage } from './error-page.ts';

async function anchors(page: string): Promise<string[]> {
  const text = await readFile(new URL(`../../../../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/<a id="(er\d{4})"><\/a>/g)].map(([, id]) => `${page}#${id}`);
}

test('every code leads to a place that is there, and to its chapter where it has one', async () => {
  const chapters = await anchors('docs/operations/doctor.md');
  const rows = await anchors('docs/reference/errors.md');
  const pages = Object.keys(errorCatalog).map(errorPage);
  expect(pages.length).toBeGreaterThan(80);
  for (const page of pages) expect([...chapters, ...rows]).toContain(page);
  for (const chapter of chapters) expect(pages).toContain(chapter);
});
